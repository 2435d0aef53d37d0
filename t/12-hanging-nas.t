use v5.36;

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
my $started = time;
ok !eval {
    local $SIG{ALRM} = sub { die "got timeout\n" };
    alarm 1;
    $class->list_images('nas1', $scfg);
    1;
}, 'an alarm around a call that gets no answer';
alarm 0;
is $@, "got timeout\n", 'ends it as PVE wants it';
cmp_ok time - $started, '<', 8, 'at once';

is $class->list_images('nas1', $scfg)->@*, 1, 'the next call does not get the answer of the last';

done_testing;
