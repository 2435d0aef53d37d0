use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section);
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';

is_deeply $class->qemu_blockdev_options(section(), 'nas1', 'vm-100-disk-0', 'pc-q35-10.1', {}),
    { driver => 'host_device', filename => '/dev/truenas/nas1/vm-100-disk-0' },
    'a host device, active or not';
is_deeply $class->qemu_blockdev_options(
    section(), 'nas1', 'vm-100-disk-0', undef,
    { 'snapshot-name' => 's1' }
    ),
    { driver => 'host_device', filename => '/dev/truenas/nas1/vm-100-disk-0@s1' }, 'or that of a snapshot';

done_testing;
