use v5.36;

use File::Path qw(make_path);
use Test::More;

use lib 't/lib';
use TestNode qw(etc_folder);
use TestSim;
use PVE::Storage;

# What qm rescan finds, after each step in the life of some guests. It compares volume ids as text: a disk that is spelt in
# another way than in its guest's configuration would be added as unused, one click from deletion.
local $SIG{__WARN__} = sub { };
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start();
my $cfg;

sub name_as ($kind) {
    $cfg = $sim->configure('nas1', tn_volume_names => $kind, content => 'images,rootdir');
    return;
}

# VMID => { disks => {key => volume id}, snapshots => {name => {disks => …, vmstate => volume id}} }
my %guests;

sub guest ($vmid, $kind = 'qemu-server') {
    my $path = etc_folder() . "/nodes/pve1/$kind";
    make_path($path);
    open my $file, '>', "$path/$vmid.conf" or die "$vmid.conf: $!";
    close $file or die "$vmid.conf: $!";
    return $guests{$vmid} = { kind => $kind, disks => {}, snapshots => {} };
}

sub attach ($vmid, $key, $kib, $name = undef) {
    return $guests{$vmid}->{disks}->{$key} =
        PVE::Storage::vdisk_alloc($cfg, 'nas1', $vmid, 'raw', $name, $kib);
}

# Without CD drives, cloud-init's among them.
sub snapshot_disks ($vmid) {
    my $disks = $guests{$vmid}->{disks};
    return map { $disks->{$_} } grep { !/^ide|^unused/ } sort keys %$disks;
}

sub snapshot ($vmid, $name, $ram_kib = 0) {
    my $made = $guests{$vmid}->{snapshots}->{$name} = { disks => { $guests{$vmid}->{disks}->%* } };
    $made->{vmstate} = PVE::Storage::vdisk_alloc($cfg, 'nas1', $vmid, 'raw', "vm-$vmid-state-$name", $ram_kib)
        if $ram_kib;
    PVE::Storage::volume_snapshot($cfg, $_, $name) for snapshot_disks($vmid);
    return;
}

# PVE runs the rest in a process of its own, which would be a login.
sub free ($volid) {
    my $volname = $volid =~ s/^nas1://r;
    my $rest = $class->free_image('nas1', $cfg->{ids}->{nas1}, $volname, 0, 'raw');
    $rest->() if $rest;
    return;
}

sub delete_snapshot ($vmid, $name) {
    my $gone = delete $guests{$vmid}->{snapshots}->{$name};
    free($gone->{vmstate}) if $gone->{vmstate};
    PVE::Storage::volume_snapshot_delete($cfg, $_, $name) for snapshot_disks($vmid);
    return;
}

sub roll_back ($vmid, $name) {
    PVE::Storage::volume_snapshot_rollback($cfg, $_, $name) for snapshot_disks($vmid);
    $guests{$vmid}->{disks} = { $guests{$vmid}->{snapshots}->{$name}->{disks}->%* };
    return;
}

# pve-contract.md section 9, "template": every disk but cloud-init's.
sub make_template ($vmid) {
    my $disks = $guests{$vmid}->{disks};
    $disks->{$_} = PVE::Storage::vdisk_create_base($cfg, $disks->{$_}) for grep { !/^ide/ } sort keys %$disks;
    return;
}

sub linked_clone ($from, $to, $snapname = undef) {
    guest($to);
    my $disks = $guests{$from}->{disks};
    for my $key (sort keys %$disks) {
        my $full = $key eq 'tpmstate0' || $key =~ /^ide/;
        my $name = $key =~ /^ide/ ? "vm-$to-cloudinit" : undef;
        $guests{$to}->{disks}->{$key} =
            $full
            ? PVE::Storage::vdisk_alloc($cfg, 'nas1', $to, 'raw', $name, 4096)
            : PVE::Storage::vdisk_clone($cfg, $disks->{$key}, $to, $snapname);
    }
    return;
}

sub reassign ($from, $key, $to, $as) {
    my $volid = delete $guests{$from}->{disks}->{$key};
    $guests{$to}->{disks}->{$as} = PVE::Storage::rename_volume($cfg, $volid, $to);
    return;
}

# pve-contract.md section 9, "destroy": what another guest's path says is another guest's is left alone.
sub destroy ($vmid) {
    my $gone = delete $guests{$vmid};
    my @volids = (values $gone->{disks}->%*, map { $_->{vmstate} // () } values $gone->{snapshots}->%*);
    for my $volid (sort @volids) {
        my (undef, $owner) = PVE::Storage::path($cfg, $volid);
        free($volid) if $owner == $vmid;
    }
    unlink etc_folder() . "/nodes/pve1/$gone->{kind}/$vmid.conf";
    return;
}

# qm rescan: by text first, then by path, as far as it knows the path from the list.
sub findings_of ($vmid, $listed) {
    my %mine = map { $_->{volid} => scalar PVE::Storage::path($cfg, $_->{volid}) }
        grep { $_->{vmid} == $vmid } @$listed;
    my (%text, %path, @findings);
    for my $volid (values $guests{$vmid}->{disks}->%*) {
        $text{$volid} = 1;
        push @findings, "$volid is missing" if !defined $mine{$volid};
        $path{ $mine{$volid} // '' } = 1;
    }
    push @findings, map { "$_ is unused" }
        grep { !/vm-$vmid-state-/ && !$text{$_} && !$path{ $mine{$_} } } sort keys %mine;
    for my $snapshot (values $guests{$vmid}->{snapshots}->%*) {
        my @wanted = grep { defined } $snapshot->{vmstate}, values $snapshot->{disks}->%*;
        push @findings, map { "$_ of a snapshot is missing" } grep { !defined $mine{$_} } @wanted;
    }
    return map { "$vmid: $_" } @findings;
}

sub rescanned ($step) {
    my $listed = PVE::Storage::vdisk_list($cfg, 'nas1')->{nas1};
    my @findings = map { findings_of($_, $listed) } sort keys %guests;
    push @findings, map { "$_->{volid} is nobody's" } grep { !$guests{ $_->{vmid} } } @$listed;
    my %paths = map { scalar PVE::Storage::path($cfg, $_->{volid}) => 1 } @$listed;
    push @findings, 'two volumes have one path' if keys %paths != @$listed;
    is_deeply \@findings, [], "$step: nothing is missing, nothing unused" or diag explain $listed;

    my %content = map { $_->{volid} => $_->{content} } PVE::Storage::volume_list($cfg, 'nas1')->@*;
    my %expected =
        map { $_->{volid} => $guests{ $_->{vmid} }->{kind} eq 'lxc' ? 'rootdir' : 'images' } @$listed;
    is_deeply \%content, \%expected, 'the content page shows the same volumes';
    for my $vmid (sort keys %guests) {
        my @mine = grep { $_->{vmid} == $vmid } @$listed;
        my $filtered = PVE::Storage::vdisk_list($cfg, undef, $vmid)->{nas1};
        is_deeply [map { $_->{volid} } @$filtered], [map { $_->{volid} } @mine], "so does guest $vmid alone";
    }
    return;
}

name_as('transport');
guest(100);
attach(100, 'scsi0', 32 * 1024);
attach(100, 'scsi1', 8 * 1024);
attach(100, 'efidisk0', 528);
attach(100, 'tpmstate0', 4096);
attach(100, 'ide2', 4096, 'vm-100-cloudinit');
rescanned('a guest with every kind of disk');

guest(200, 'lxc');
attach(200, 'rootfs', 8 * 1024);
snapshot(200, 'vzdump');
rescanned('a container and its backup');
delete_snapshot(200, 'vzdump');

snapshot(100, 'before', 64 * 1024);
PVE::Storage::volume_resize($cfg, $guests{100}->{disks}->{scsi0}, 64 * 2**20);
rescanned('a snapshot with the memory, and a resize');
name_as('plain');
rescanned('another way to name new volumes');
snapshot(100, 'after');
roll_back(100, 'after');
delete_snapshot(100, 'after');
roll_back(100, 'before');
rescanned('rollbacks');
attach(100, 'scsi2', 1024);
rescanned('a disk that is younger than the snapshot');
delete_snapshot(100, 'before');
rescanned('the snapshot and the memory are deleted');

$guests{100}->{disks}->{unused0} = delete $guests{100}->{disks}->{scsi1};
rescanned('a disk is taken out');
guest(101);
reassign(100, 'unused0', 101, 'scsi0');
rescanned('and given to another guest');

make_template(100);
rescanned('a template');
name_as('transport');
linked_clone(100, 102);
rescanned('a linked clone');
is scalar(grep { m{/} } values $guests{102}->{disks}->%*), 3, 'its disks name their templates';
snapshot(102, 'golden');
linked_clone(102, 103, 'golden');
rescanned('a linked clone of its snapshot');
my $kept = $guests{102}->{disks}->{scsi0};
ok !eval { PVE::Storage::volume_snapshot_delete($cfg, $kept, 'golden'); 1 }, 'which keeps the snapshot';
like $@, qr/is the origin of: .*vm-103-disk-/, 'and is named';
guest(104);
reassign(103, 'scsi2', 104, 'scsi0');
rescanned('a clone of a snapshot goes to another guest');
destroy($_) for 103, 104;
delete_snapshot(102, 'golden');
guest(105);
reassign(102, 'scsi2', 105, 'scsi0');
like $guests{105}->{disks}->{scsi0}, qr{/vol-vm-105-disk-0-lun\d+\z}, 'a linked clone keeps its template';
rescanned('and goes to another guest');
make_template(102);
name_as('plain');
linked_clone(102, 106);
rescanned('a linked clone is a template itself, and has a clone');

for my $vmid (100, 102) {
    my $template = $guests{$vmid}->{disks}->{scsi0};
    ok !eval { PVE::Storage::vdisk_free($cfg, $template); 1 }, "template $vmid is in use";
    like $@, qr/still in use by linked clone/, 'as PVE sees by the names';
}
rescanned('what was refused');
for my $vmid (106, 105, 102, 101, 200) {
    destroy($vmid);
    rescanned("guest $vmid is destroyed");
}
destroy(100);
is_deeply(PVE::Storage::vdisk_list($cfg, 'nas1')->{nas1}, [], 'at last nothing is left');
is_deeply($sim->luns(), {}, 'and nothing is exported');

done_testing;
