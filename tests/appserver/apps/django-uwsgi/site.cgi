#!/home/me/bin/rouse -
directory = /home/me/site
run       = /home/me/site/run
start     = /home/me/site/start
