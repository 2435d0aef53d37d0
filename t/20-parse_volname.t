use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $uuid = '6b165acc-0000-4000-8000-000000000001';

# name => what it is: zvol, owner, base, owner of the base, is it a base.
my %names = (
    'vm-100-disk-0' => ['vm-100-disk-0', 100, undef, undef, ''],
    'vol-vm-100-disk-0-lun3' => ['vm-100-disk-0', 100, undef, undef, ''],
    "vol-vm-100-disk-0-ns$uuid" => ['vm-100-disk-0', 100, undef, undef, ''],
    'vm-100-cloudinit' => ['vm-100-cloudinit', 100, undef, undef, ''],
    'vm-100-state-before' => ['vm-100-state-before', 100, undef, undef, ''],
    'vm-100-fleece-0' => ['vm-100-fleece-0', 100, undef, undef, ''],
    'vm-100-foo' => ['vm-100-foo', 100, undef, undef, ''],
    'base-9-disk-0' => ['base-9-disk-0', 9, undef, undef, 1],
    'vol-base-9-disk-0-lun1' => ['base-9-disk-0', 9, undef, undef, 1],
    'base-9-disk-0/vm-100-disk-0' => ['vm-100-disk-0', 100, 'base-9-disk-0', 9, ''],
    'vol-base-9-disk-0-lun1/vol-vm-100-disk-0-lun2' => ['vm-100-disk-0', 100, 'base-9-disk-0', 9, ''],
    'vol-pve-plugin-weight-lun0' => ['pve-plugin-weight', undef, undef, undef, ''],
);
for my $name (sort keys %names) {
    is_deeply [$class->parse_volname($name)], ['images', $names{$name}->@*, 'raw'], "$name is understood";
}

for my $foreign ('', 'disk', 'iso/debian.iso', 'vol-vm-100-disk-0', 'vm-100-disk-0@snap', '../vm-100-disk-0')
{
    ok !eval { $class->parse_volname($foreign); 1 }, "'$foreign' is refused";
    like $@, qr/^unable to parse volume name '\Q$foreign\E'/, 'by its name';
}

done_testing;
