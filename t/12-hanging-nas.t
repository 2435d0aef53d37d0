use v5.36;

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use TestNode qw(node_folder);
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

# A server that takes a call and never answers.
my $faults = node_folder() . '/faults.json';
open my $file, '>', $faults or die "$faults: $!";
print {$file} '[{"method":"zfs.resource.query","nth":2,"when":"before","do":"hang"}]';
close $file or die "$faults: $!";
my $sim = TestSim->start(preload => 1, faults => $faults);
my $scfg = $sim->section();

is $class->list_images('nas1', $scfg)->@*, 1, 'the connection is there';

# The bound separates "at once" from the 20 s that a list may take.
sub ends_at_once ($section, $what) {
    my $started = time;
    my $listed = eval {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm 1;
        $class->list_images('nas1', $section);
        1;
    };
    my $error = $@;
    alarm 0;
    ok !$listed, "an alarm around $what";
    is $error, "got timeout\n", 'ends it as PVE wants it';
    cmp_ok time - $started, '<', 8, 'at once';
    return;
}

ends_at_once($scfg, 'a call that gets no answer');
is $class->list_images('nas1', $scfg)->@*, 1, 'the next call does not get the answer of the last';

my $mute = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "no port: $!";
my ($port) = $mute->sockport() =~ /(\d+)/;
ends_at_once(
    $sim->section(api_host => '127.0.0.1', api_port => $port),
    'a TLS handshake that nobody answers'
);

done_testing;
