#!/usr/bin/perl
# A bridge that starts its server: it carries as pass.pl beside it does, and when nobody listens it runs WAKE_START, once.
#
# The simplest design that keeps to the cases of `launch`, to show that they can be kept without rouse's. One lock, flock(2) on
# the file WAKE_LOCK: a *guardian*, which is nobody's CGI program, holds it from before the script runs until the server can be
# connected to. Whoever finds the server down takes the lock, looks again, and forks a guardian or is served. In the
# file stands how many launches have failed: whoever waited for one that failed does not try another.
use strict;
use warnings;
use Errno qw(ECONNREFUSED EINTR ENOENT);
use Fcntl qw(:DEFAULT :flock);
use Socket qw(:DEFAULT SOCK_CLOEXEC);

sub attempt {
    my ($family, $where) = @_;
    socket(my $server, $family, SOCK_STREAM | SOCK_CLOEXEC, 0) or return;
    return connect($server, $where) ? $server : undef;
}

sub failures {
    my ($lock) = @_;
    sysseek $lock, 0, 0;
    sysread $lock, my $count, 20;
    return $count || 0;
}

sub path {  # of the server's socket; empty when it has none
    my ($family, $where) = @_;
    return $family == AF_UNIX ? unpack_sockaddr_un($where) : '';
}

sub guard {  # never returns
    my ($lock, $script, $family, $where) = @_;
    require POSIX;
    POSIX::setsid();
    open STDIN, '<', '/dev/null' or POSIX::_exit(1);
    open STDOUT, '>', '/dev/null' or POSIX::_exit(1);
    open STDERR, '>', '/dev/null' or POSIX::_exit(1);
    $_ > 2 && $_ != fileno $lock && POSIX::close($_) for map { m{(\d+)\z} } glob '/proc/self/fd/*';  # the web server's, too
    $SIG{$_} = 'DEFAULT' for keys %SIG;
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), POSIX::SigSet->new);
    my $stale = path($family, $where);
    unlink $stale if -S $stale;
    my $child = fork // POSIX::_exit(1);
    if (!$child) {
        POSIX::setsid();
        %ENV = (PATH => '/usr/local/bin:/usr/bin:/bin');
        exec { $script } $script or POSIX::_exit(127);
    }
    my $ended = 0;
    for (1 .. 6000) {
        POSIX::_exit(0) if attempt($family, $where);
        if (!$ended && waitpid($child, POSIX::WNOHANG()) == $child) {
            POSIX::_exit(0) if grep { $_ == ($? & 127) } 1, 2, 9, 15;  # somebody ended it: whoever waits may try again
            $ended = 1;
            last if $?;
        }
        select undef, undef, undef, 0.01;
    }
    kill KILL => -$child if !$ended;
    my $count = failures($lock) + 1;
    sysseek $lock, 0, 0;
    syswrite $lock, $count;
    POSIX::_exit(0);
}

our @hidden = qw(WAKE_LOCK WAKE_START);
our $reach = sub {
    my ($family, $where) = @_;
    my %given = map { @$_ } reverse environment();  # the first of a name counts
    my ($path, $known) = path($family, $where);
    while (1) {
        my $server = attempt($family, $where);
        return $server if $server || !($!{ENOENT} || $!{ECONNREFUSED}) || !$given{WAKE_START};
        return if -l $path || -e $path && !-S $path;  # no server of ours can be there
        sysopen my $lock, $given{WAKE_LOCK}, O_RDWR | O_CREAT, 0600 or return;
        $known //= failures($lock);
        1 until flock($lock, LOCK_EX) || !$!{EINTR};
        $server = attempt($family, $where);
        return $server if $server || failures($lock) > $known;
        my $guardian = fork // return;
        guard($lock, $given{WAKE_START}, $family, $where) if !$guardian;
        close $lock;  # it is the guardian's now: whoever gets it next finds the server, or nobody who starts one
        waitpid $guardian, 0;
    }
};

do(($0 =~ s{[^/]*\z}{}r) . 'pass.pl');
die $@ || $!;
