use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::RESTEnvironment;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
local $SIG{__WARN__} = sub { };
my $sim = TestSim->start();
my $cfg = $sim->configure('nas1');
my $scfg = $cfg->{ids}->{nas1};

my ($keep, $free) = map { PVE::Storage::vdisk_alloc($cfg, 'nas1', 100, 'raw', undef, 1024) } 1 .. 2;
my $volname = $free =~ s/^nas1://r;

my $later = $class->free_image('nas1', $scfg, $volname, 0, 'raw');
is ref $later, 'CODE', 'what may take long is left for after the lock';
is_deeply [map { $_->{volid} } PVE::Storage::vdisk_list($cfg, 'nas1')->{nas1}->@*], [$keep],
    'the volume is out of the list at once';
is keys $sim->luns()->%*, 1, 'and nobody can attach it any more';
ok eval { $later->(); 1 }, 'the rest runs' or diag $@;
ok eval { $later->(); 1 }, 'and may run again' or diag $@;

is PVE::Storage::vdisk_free($cfg, $free), undef, 'a volume that is gone is free';
ok !$PVE::RESTEnvironment::failed, 'no task failed';

ok eval { PVE::Storage::vdisk_free($cfg, $keep); 1 }, 'lock, method and task as PVE runs them' or diag $@;
ok !$PVE::RESTEnvironment::failed, 'the task ended well';
is_deeply PVE::Storage::vdisk_list($cfg, 'nas1')->{nas1}, [], 'nothing is left';
is_deeply $sim->luns(), {}, 'nothing is exported';

for my $weight (qw(vol-pve-plugin-weight-lun0)) {
    ok !eval { $class->free_image('nas1', $scfg, $weight, 0, 'raw'); 1 },
        'what keeps the target visible is not freed';
    like $@, qr/pve-plugin-weight/, 'by its name';
}

done_testing;
