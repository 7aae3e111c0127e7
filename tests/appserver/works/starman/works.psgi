# The works in PSGI: mount takes the prefix from the path and puts it into SCRIPT_NAME.
use strict;
use warnings;
use Digest::SHA;
use Plack::Builder;
use Plack::Request;
use URI::Escape ();

my @names = ('one', 'two words', "caf\xc3\xa9");    # bytes, as PATH_INFO has them

my $works = sub {
    my $env     = shift;
    my $request = Plack::Request->new($env);
    my $root    = $request->script_name;
    my $path    = $request->path_info;
    my @text    = ('Content-Type' => 'text/plain; charset=utf-8');
    my @html    = ('Content-Type' => 'text/html; charset=utf-8');

    if ($path eq '' or $path eq '/') {
        my $links = join '', map { '<a href="' . "$root/page/" . URI::Escape::uri_escape($_) . "\">$_</a>" } @names;
        return [200, [@html], ["<h1>index</h1>$links"]];
    }
    if ($path =~ m{^/page/(.+)$}) {
        return [200, [@html], ["<h1>$1</h1><a href=\"$root/\">index</a>"]];
    }
    if ($path eq '/form') {
        my $fields = $request->body_parameters;
        return [200, [@text], ["name=$fields->{name}\ntext=$fields->{text}\n"]];
    }
    if ($path eq '/upload') {
        my ($digest, $length) = (Digest::SHA->new(256), 0);
        while ($env->{'psgi.input'}->read(my $piece, 65536)) {
            $digest->add($piece);
            $length += length $piece;
        }
        return [200, [@text], ["$length " . $digest->hexdigest . "\n"]];
    }
    if ($path eq '/download') {
        open my $file, '<:raw', 'download.bin' or die "cannot open download.bin: $!";
        return [200, ['Content-Type' => 'application/octet-stream', 'Content-Length' => -s $file], $file];
    }
    if ($path eq '/stream') {
        return sub {
            my $writer = shift->([200, [@text]]);
            $writer->write("first\n");
            open my $gate, '<', 'gate' or die "cannot open gate: $!";    # a FIFO: opened when the client has seen it
            my @opened = <$gate>;
            $writer->write("second\n");
            $writer->close;
        };
    }
    if ($path eq '/cookies') {
        my $response = $request->new_response(200, [@text, 'Set-Cookie' => 'first=1; Path=/', 'Set-Cookie' => 'second=2; Path=/']);
        $response->body($env->{HTTP_COOKIE} // '');
        return $response->finalize;
    }
    return [302, ['Location' => "$root/page/one"], []] if $path eq '/redirect/path';
    return [302, ['Location' => $request->base . '/page/one'], []] if $path eq '/redirect/url';
    if ($path eq '/echo') {
        my $length = length $request->content;
        my $line   = 'token=' . $request->parameters->{token} . " pid=$$ body=$length wrong=-1\n";
        return [200, [@text, 'Content-Length' => length $line], [$line]];    # whoever gets less of it can tell
    }
    return [404, [@text], ["there is no $path\n"]];
};

builder { mount '/cgi-bin/works.cgi' => $works };
