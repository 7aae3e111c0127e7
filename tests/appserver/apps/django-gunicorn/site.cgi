#!/home/me/bin/rouse -
protocol  = http
directory = /home/me/site
run       = /home/me/site/run
start     = /home/me/site/start
