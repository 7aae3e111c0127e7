#!/home/me/bin/rouse -
protocol  = http
directory = /home/me/hello
run       = /home/me/hello/run
start     = /home/me/hello/start
