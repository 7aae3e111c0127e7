#!/home/me/bin/rouse -
directory = /home/me/hello
run       = /home/me/hello/run
start     = /home/me/hello/start
