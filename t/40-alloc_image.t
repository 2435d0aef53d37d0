use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

local $SIG{__WARN__} = sub { };
my $sim = TestSim->start(pool => 'tank:100G');
my $cfg = $sim->configure('nas1');

sub alloc ($vmid, $name, $kib, $fmt = 'raw') {
    return PVE::Storage::vdisk_alloc($cfg, 'nas1', $vmid, $fmt, $name, $kib);
}

sub size ($volid) { return scalar PVE::Storage::volume_size_info($cfg, $volid, 5) }

my $first = alloc(100, undef, 1024);
like $first, qr/^nas1:vol-vm-100-disk-0-lun[1-9]\d*$/, 'the first disk of a guest';
is size($first), 2**20, 'has the size that was asked for, in KiB';
my $second = alloc(100, undef, 1024);
like $second, qr/^nas1:vol-vm-100-disk-1-lun[1-9]\d*$/, 'the next one gets the next number';
my ($lun) = $first =~ /lun(\d+)$/;
is $sim->luns()->{$lun}, 2**20, 'initiators see it under the number that its name tells';

like alloc(100, 'vm-100-state-before', 1024), qr/^nas1:vol-vm-100-state-before-lun\d+$/,
    'a given name is kept';
is alloc(100, 'vm-100-cloudinit', 4096), 'nas1:vm-100-cloudinit',
    'cloud-init gets the plain name that PVE knows it by';
is size(alloc(101, undef, 528)), 528 * 1024, 'the EFI disk of 528 KiB is exact with 16K blocks';

$cfg = $sim->configure('nas1', zvol_blocksize => '64K');
is size(alloc(101, undef, 528)), 576 * 1024, 'with 64K blocks it is rounded up';
$cfg = $sim->configure('nas1', zvol_blocksize => '64K', tn_exact_size => 1);
is size(alloc(101, undef, 528)), 528 * 1024, 'unless exact sizes are asked for';
$cfg = $sim->configure('nas1', tn_volume_names => 'plain');
is alloc(102, undef, 1024), 'nas1:vm-102-disk-0', 'plain names, if the storage says so';

$cfg = $sim->configure('nas1', tn_sparse => 0);
my $before = PVE::Storage::volume_list($cfg, 'nas1');
my @refused = (
    ['nothing', 103, undef, 0, qr/size/],
    ['less than nothing', 103, undef, -1, qr/size/],
    ['no number', 103, undef, 'much', qr/size|number/],
    ['more than there is', 103, undef, 1024**3, qr/space|free|available/i],
    ['another format', 103, undef, 1024, qr/qcow2/, 'qcow2'],
    ['a name that exists', 100, 'vm-100-disk-0', 1024, qr/vm-100-disk-0.*exist/is],
    ['the name of another guest', 103, 'vm-104-disk-0', 1024, qr/vm-104-disk-0/],
    ['a name with a slash', 103, 'vm-103-disk/0', 1024, qr{vm-103-disk/0}],
);
for my $case (@refused) {
    my ($what, $vmid, $name, $kib, $pattern, @format) = @$case;
    ok !eval { alloc($vmid, $name, $kib, @format); 1 }, "$what: refused";
    like $@, $pattern, 'and the error says what';
}
is_deeply PVE::Storage::volume_list($cfg, 'nas1'), $before, 'none of these changed anything';

done_testing;
