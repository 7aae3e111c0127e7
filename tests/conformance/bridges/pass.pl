#!/usr/bin/perl
# A bridge from CGI to SCGI that does nothing but carry: it starts no server, judges no answer, tries nothing twice.
#
# It shares no line and no language with rouse, and is here to show that the cases of this suite ask for what RFC 3875
# and protocol.txt say and not for what rouse happens to do. Its server's address is SCGI_ADDRESS in the web server's
# configuration: a path, 127.0.0.1:4000 or [::1]:4000. adapters/pass.toml says what it claims.
use strict;
use warnings;
use Errno qw(EAGAIN EBADF EINTR);
use Fcntl;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 SOCK_CLOEXEC);

# A socket that took the number of a closed standard stream would be spoken to as that stream.
my @fillers;
do { open my $filler, '+<', '/dev/null' or die; push @fillers, $filler } until fileno $fillers[-1] > 2;

$SIG{PIPE} = 'IGNORE';
exit 2 if !defined syswrite(STDOUT, '', 0) && $!{EBADF};  # it is closed: whoever was asked would answer to nobody

my $left = 0;  # of the body, on standard input

sub drain {  # so that the web server is not left writing
    while ($left) {
        my $got = sysread STDIN, my $rest, $left < 65536 ? $left : 65536;
        next if !defined $got && $!{EINTR};
        last if !$got;
        $left -= $got;
    }
}

sub fail {
    my ($status, $reason) = @_;
    vec(my $ready = '', fileno STDERR, 1) = 1;  # a standard error that nobody reads must hold nobody up
    print STDERR "pass: $reason\n" if select(undef, $ready, undef, 0) > 0;
    drain();
    my $body = ($ENV{REQUEST_METHOD} // '') eq 'HEAD' ? '' : "$status\n";
    my $page = "Status: $status\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\r\n$body";
    while (length $page) { put(\*STDOUT, \$page) or exit 2 }
    exit 0;
}

# Writes what the descriptor takes, and answers whether anybody is still there to take it.
sub put {
    my ($handle, $bytes) = @_;
    my $written = syswrite $handle, $$bytes, 65536;
    if (!defined $written) {
        return 1 if $!{EINTR};
        return 0 if !$!{EAGAIN};
        vec(my $ready = '', fileno $handle, 1) = 1;
        select undef, $ready, undef, undef;
        return 1;
    }
    substr($$bytes, 0, $written) = '';
    return 1;
}

# The environment as it was given: %ENV has no two entries of one name, and says nothing about their order.
sub environment {
    open my $file, '<:raw', '/proc/self/environ' or fail('500 Internal Server Error', 'cannot read the environment');
    local $/;
    my (%seen, @pairs);
    for my $entry (split /\0/, <$file> // '') {
        my ($name, $value) = $entry =~ /\A([^=]+)=(.*)\z/s or next;
        push @pairs, [$name, $value] unless $seen{$name}++;
    }
    return @pairs;
}

my @pairs = environment();
my ($length) = map { $_->[1] } grep { $_->[0] eq 'CONTENT_LENGTH' } @pairs;
$length = 0 if !defined $length || $length eq '';
fail('400 Bad Request', 'CONTENT_LENGTH is no number') if $length !~ /\A[0-9]{1,18}\z/;
$left = $length += 0;
my ($address) = map { $_->[1] } grep { $_->[0] eq 'SCGI_ADDRESS' } @pairs;
fail('500 Internal Server Error', 'SCGI_ADDRESS is not set') if !defined $address;

# A proxy that a client names (Proxy: in the request) must reach no program that would heed it.
our @hidden;  # wake.pl's settings
my %own = map { $_ => 1 } qw(CONTENT_LENGTH SCGI SCGI_ADDRESS HTTP_PROXY), @hidden;
my $headers = join '', map { "$_->[0]\0$_->[1]\0" } ['CONTENT_LENGTH', $length], ['SCGI', 1], grep { !$own{$_->[0]} } @pairs;
my $to_server = length($headers) . ":$headers,";

# ("$2": the packing functions do not look into the variable of a match.)
my ($family, $where) =
    $address =~ m{\A/}                  ? (AF_UNIX, length $address < 108 ? pack_sockaddr_un($address) : undef)
  : $address =~ /\A\[(.*)\]:(\d+)\z/    ? (AF_INET6, pack_sockaddr_in6("$2", inet_pton(AF_INET6, $1)))
  : $address =~ /\A([\d.]+):(\d+)\z/    ? (AF_INET, pack_sockaddr_in("$2", inet_aton($1)))
  :                                       ();
fail('500 Internal Server Error', 'SCGI_ADDRESS is no address') if !defined $where;
our $reach;  # another way to a connection: wake.pl's
my $server;
$reach ? $server = $reach->($family, $where) : socket($server, $family, SOCK_STREAM | SOCK_CLOEXEC, 0) && connect($server, $where)
    or fail('503 Service Unavailable', "cannot reach the server: $!");
# The kernel may choose the very port that is looked for as ours: the request would be its own answer.
fail('503 Service Unavailable', 'connected to itself') if getsockname($server) eq getpeername($server);
fcntl($server, F_SETFL, fcntl($server, F_GETFL, 0) | O_NONBLOCK);

my ($taking, $answered) = (1, 0);  # $taking: the server still takes the request
my ($in, $out) = (fileno STDIN, fileno $server);
while (1) {
    my ($readable, $writable) = ('', '');
    vec($readable, $out, 1) = 1;
    vec($readable, $in, 1) = 1 if $left && length $to_server < 65536;
    vec($writable, $out, 1) = 1 if $taking && length $to_server;
    next if select($readable, $writable, undef, undef) < 0;
    if (vec $readable, $in, 1) {
        my $got = sysread STDIN, my $piece, $left < 65536 ? $left : 65536;
        next if !defined $got && $!{EINTR};
        # A body that ends early must not look whole: the server sees a connection that closes within it.
        $answered ? exit 1 : fail('400 Bad Request', 'the body ended before its length') if !$got;
        $left -= $got;
        $to_server .= $piece if $taking;  # who has answered before the end reads no more; the web server wants to be rid of it
    }
    if (vec $writable, $out, 1) {
        $taking = put($server, \$to_server);
        $to_server = '' if !$taking;
    }
    if (vec $readable, $out, 1) {
        my $got = sysread $server, my $piece, 65536;
        next if !defined $got && ($!{EINTR} || $!{EAGAIN});
        last if !$got;
        $answered = 1;
        while (length $piece) { put(\*STDOUT, \$piece) or exit 1 }
    }
}
$answered or fail('502 Bad Gateway', 'the server closed without an answer');
drain();
exit 0;
