#!/home/me/bin/rouse -
protocol  = http
directory = /home/me/hello
run       = /home/me/hello/run
socket    = 127.0.0.1:3000
start     = /home/me/hello/start
