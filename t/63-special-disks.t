use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

# Disks that PVE makes for itself: it knows them by their names, and the firmware by their sizes.
local $SIG{__WARN__} = sub { };
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start();
my $cfg;

sub alloc ($vmid, $name, $kib) { return PVE::Storage::vdisk_alloc($cfg, 'nas1', $vmid, 'raw', $name, $kib) }
sub size ($volid) { return scalar PVE::Storage::volume_size_info($cfg, $volid, 5) }

# PVE runs the rest in a process of its own, which would be a login.
sub free ($volid) {
    my $rest = $class->free_image('nas1', $cfg->{ids}->{nas1}, $volid =~ s/^nas1://r, 0, 'raw');
    $rest->() if $rest;
    return;
}

# KiB (pve-contract.md section 8); the memory of a guest with 2 GiB is saved in 2 x 2048 + 500 MiB.
my %asked = (efi => 528, 'old efi' => 128, 'arm efi' => 64 * 1024, tpm => 4096, memory => 4596 * 1024);

# zvol_blocksize, tn_exact_size => what is larger than it was asked for.
my @rows = (
    [undef, 0, {}],
    ['16K', 0, {}],
    ['32K', 0, { efi => 544 }],
    ['64K', 0, { efi => 576 }],
    ['128K', 0, { efi => 640 }],
    ['32K', 1, {}],
    ['128K', 1, {}],
);
my $vmid = 100;
for my $row (@rows) {
    my ($block, $exact, $larger) = @$row;
    $cfg = $sim->configure('nas1', zvol_blocksize => $block, tn_exact_size => $exact);
    my %made = map { $_ => alloc($vmid, undef, $asked{$_}) } sort keys %asked;
    my %sizes = map { $_ => size($made{$_}) / 1024 } keys %made;
    my $what = ($block // 'no block size') . ($exact ? ', exact' : '');
    is_deeply \%sizes, { %asked, %$larger }, $what;
    my %listed = map { $_->{volid} => $_->{size} } PVE::Storage::vdisk_list($cfg, 'nas1', $vmid)->{nas1}->@*;
    is_deeply \%listed, { map { $made{$_} => $sizes{$_} * 1024 } keys %made }, "$what: so is the list";
    $vmid++;
}

# The last storage makes 528 KiB of blocks of 128K: so are its template and clones.
my $efi = alloc(120, undef, 528);
PVE::Storage::volume_snapshot($cfg, $efi, 'one');
PVE::Storage::volume_snapshot_rollback($cfg, $efi, 'one');
is size($efi), 528 * 1024, 'a rollback keeps the size of an EFI disk';
PVE::Storage::volume_snapshot_delete($cfg, $efi, 'one');
my $base = PVE::Storage::vdisk_create_base($cfg, $efi);
my $clone = PVE::Storage::vdisk_clone($cfg, $base, 121);
is_deeply [map { size($_) } $base, $clone], [528 * 1024, 528 * 1024], 'a template and a clone too';

# What PVE asks of a name: is it a CD drive, is it saved memory.
for my $kind (qw(transport plain)) {
    $cfg = $sim->configure('nas1', tn_volume_names => $kind);
    my $guest = $kind eq 'plain' ? 130 : 131;
    my $cloudinit = alloc($guest, "vm-$guest-cloudinit", 4096);
    like $cloudinit, qr/:vm-\d+-cloudinit\z/, "$kind: cloud-init by its name";
    is size($cloudinit), 4 * 2**20, '4 MiB';
    ok !eval { alloc($guest, "vm-$guest-cloudinit", 4096); 1 }, 'is made once';
    my @memory =
        map { alloc($guest, "vm-$guest-state-$_", 4096) } ('before', 'suspend-2026-11-22', 'with_Under-1');
    is scalar(grep { /vm-$guest-state-/ } @memory), 3, "$kind: saved memory is known by its name";
    my $fleece = alloc($guest, "vm-$guest-fleece-0", 1030);
    like $fleece, qr/vm-$guest-fleece-0/, "$kind: and what a backup sets aside";
    my @owners = map { (PVE::Storage::path($cfg, $_))[1] } $cloudinit, @memory, $fleece;
    is_deeply \@owners, [($guest) x 5], 'all are the guest\'s';
    like alloc($guest, undef, 1024), qr/vm-$guest-disk-0/, 'and take no number from its disks';
    is scalar(PVE::Storage::vdisk_list($cfg, 'nas1', $guest)->{nas1}->@*), 6, 'all are listed';
    free($_) for $cloudinit, @memory, $fleece;
    is scalar(PVE::Storage::vdisk_list($cfg, 'nas1', $guest)->{nas1}->@*), 1, 'and freed by their names';
}

done_testing;
