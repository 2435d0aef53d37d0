use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section);
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

# No NAS anywhere: what PVE asks of a section that could not even be parsed.
my $scfg = section(api_host => undef, target_iqn => 'nonsense');

is_deeply [$class->path($scfg, 'vm-100-disk-0', 'nas1')], ['/dev/truenas/nas1/vm-100-disk-0', 100, 'images'],
    'in list context: path, owner and type, without a NAS';
is scalar $class->path($scfg, 'vm-100-disk-0', 'nas1'), '/dev/truenas/nas1/vm-100-disk-0', 'else the path';

for my $spelling (qw(vol-vm-100-disk-0-lun3 vol-vm-100-disk-0-lun7 base-9-disk-0/vm-100-disk-0)) {
    is scalar $class->path($scfg, $spelling, 'nas1'), '/dev/truenas/nas1/vm-100-disk-0',
        "$spelling is that volume";
}
is scalar $class->path($scfg, 'vm-100-disk-0', 'nas1', 'before'), '/dev/truenas/nas1/vm-100-disk-0@before',
    'a snapshot has a path of its own';
isnt scalar $class->path($scfg, 'vm-100-disk-0', 'nas2'), scalar $class->path($scfg, 'vm-100-disk-0', 'nas1'),
    'so has the same name on another storage';
ok !eval { $class->path($scfg, 'vm-100-disk-0', '../etc'); 1 }, 'a storage id that is none gives no path';

done_testing;
