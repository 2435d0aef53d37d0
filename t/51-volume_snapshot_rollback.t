use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $scfg = $sim->section();
my @volume = ($scfg, 'nas1', 'vol-vm-100-disk-0-lun0');

$class->volume_snapshot(@volume, $_) for qw(one two three);

my $blockers = [];
ok !eval { $class->volume_rollback_is_possible(@volume, 'one', $blockers); 1 }, 'not to an older snapshot';
is_deeply $blockers, [qw(two three)], 'PVE is given what is in the way';
like $@, qr{two, three\n  what to do: delete the newer}, 'and people are told';
ok !eval { $class->volume_rollback_is_possible(@volume, 'one'); 1 }, 'PVE asks without a list too';
ok !eval { $class->volume_snapshot_rollback(@volume, 'one'); 1 }, 'and it is not done either';

$blockers = [];
is $class->volume_rollback_is_possible(@volume, 'three', $blockers), 1, 'to the newest it is possible';
is_deeply $blockers, [], 'and nothing is in the way';
ok eval { $class->volume_snapshot_rollback(@volume, 'three'); 1 }, 'and done' or diag $@;
is_deeply [sort keys $class->volume_snapshot_info(@volume)->%*], [qw(one three two)], 'all snapshots stay';

ok !eval { $class->volume_rollback_is_possible(@volume, 'none', $blockers); 1 },
    'not to one that is not there';
like $@, qr/no snapshot 'tank\/proxmox\/vm-100-disk-0\@none'/, 'which is named';

done_testing;
