use v5.36;

use Test::More;

use lib 't/lib';
use TestFakeNode;
use TestNode qw(node_folder etc_folder);
use TestSim;
use TestVersion1;
use PVE::Storage;

# Situations in which another disk looks like ours. In each the plugin refuses or finds the right one; beside it stands what the
# rule of 1.x makes of the same node and NAS. NVMe, and what a kernel has to show, is in rig/tests.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $BASE = 'iqn.2005-10.org.freenas.ctl';
my $sim = TestSim->start(plain => '', 'limiter-window' => 100);
my $node = TestFakeNode->start($sim);
my $section = $sim->section();

sub alloc ($storeid, $scfg, $vmid, $name, $mib) {
    return $class->alloc_image($storeid, $scfg, $vmid, 'raw', $name, $mib * 1024);
}

sub free ($storeid, $scfg, $volname) {
    my $later = $class->free_image($storeid, $scfg, $volname, 0);
    $later->() if $later;
    return;
}

sub refused ($why, $code, $text) {
    my $done = eval { $code->(); 1 };
    ok !$done, $text;
    like $@, $why, '  and says why';
    return;
}

sub said ($rule, $text) {
    note "1.x: $text";
    ok $rule, "1.x: $text";
    return;
}

# What the disk itself answers, as the NAS spells it.
sub identity ($device) {
    return '0x' . $node->ask('lib/udev/scsi_id', '-g', '-u', '-d', $device) =~ s/^3//r;
}

sub size ($device) { return $node->ask('usr/sbin/blockdev', '--getsize64', $device) }
sub link_of ($storeid, $zname) { return node_folder() . "/dev/truenas/$storeid/$zname" }
sub disk ($name) { return node_folder() . "/dev/$name" }

sub extent ($nas, $zvol) {
    return $nas->by_hand('iscsi.extent.query', [[['disk', '=', "zvol/$zvol"]], { get => \1 }]);
}

sub guid ($nas, $zvol) {
    my $rows = $nas->by_hand('zfs.resource.query', [{ paths => [$zvol], properties => undef }]);
    return $rows->[0]->{guid} // $rows->[0]->{id};
}

sub exists_on ($nas, $zvol) {
    return scalar $nas->by_hand('pool.dataset.query', [[['id', '=', $zvol]]])->@*;
}

sub lun_of ($volname) { return $volname =~ /-lun(\d+)$/ ? $1 : die "no LUN in $volname\n" }

# Behind the node's back, as another client does it.
sub remove_elsewhere ($zname) {
    $sim->by_hand('iscsi.extent.delete', [extent($sim, "tank/proxmox/$zname")->{id}, \0, \1]);
    $sim->by_hand('pool.dataset.delete', ["tank/proxmox/$zname"]);
    return;
}

sub move_to ($zname, $lun) {
    my $extent = extent($sim, "tank/proxmox/$zname")->{id};
    my $mapping =
        $sim->by_hand('iscsi.targetextent.query', [[['extent', '=', $extent]], { get => \1 }]);
    $sim->by_hand('iscsi.targetextent.delete', [$mapping->{id}, \1]);
    $sim->by_hand(
        'iscsi.targetextent.create',
        [{ target => $mapping->{target}, extent => $extent, lunid => 0 + $lun }]
    );
    $node->ask('usr/bin/udevadm', 'sync');
    return;
}

subtest 'a LUN that is used again for another zvol' => sub {
    my $old = alloc('nas1', $section, 100, undef, 32);
    $class->activate_volume('nas1', $section, $old, undef, {});
    my $new = alloc('nas1', $section, 101, undef, 64);
    remove_elsewhere('vm-100-disk-0');
    move_to('vm-101-disk-0', lun_of($old));
    my $naa = extent($sim, 'tank/proxmox/vm-101-disk-0')->{naa};

    my $taken = disk(TestVersion1::device($section->{target_iqn}, lun_of($old)));
    said identity($taken) eq $naa, 'the removed vm-100-disk-0 is the disk of vm-101-disk-0';
    said size($taken) == 32 * 2**20, 'vm-101-disk-0 has the 32 MiB of the removed one';
    refused(
        qr{no zvol 'tank/proxmox/vm-100-disk-0'},
        sub { $class->activate_volume('nas1', $section, $old, undef, {}) },
        'the removed volume is not handed out'
    );
    $class->activate_volume('nas1', $section, $new, undef, {});
    is identity(link_of('nas1', 'vm-101-disk-0')), $naa, 'the other one is itself';
    is size(link_of('nas1', 'vm-101-disk-0')), 64 * 2**20, 'in its own size';
    free('nas1', $section, $new);
};

subtest 'a size that the kernel remembers' => sub {
    my $volname = alloc('nas1', $section, 102, undef, 32);
    $class->activate_volume('nas1', $section, $volname, undef, {});
    $sim->by_hand(
        'pool.dataset.update',
        ['tank/proxmox/vm-102-disk-0', { volsize => 96 * 2**20, force_size => \1 }]
    );
    $node->ask('usr/bin/udevadm', 'sync');
    my $taken = disk(TestVersion1::device($section->{target_iqn}, lun_of($volname)));
    said size($taken) == 32 * 2**20, 'the disk ends after 32 of 96 MiB';
    $class->activate_volume('nas1', $section, $volname, undef, {});
    is size(link_of('nas1', 'vm-102-disk-0')), 96 * 2**20, 'the whole disk is handed out';
    free('nas1', $section, $volname);
};

subtest 'a target whose name begins like ours' => sub {
    my $other = { %$section, target_iqn => "$BASE:proxmox2", dataset => 'tank/second' };
    my $groups = $sim->by_hand('iscsi.target.query', [[], { get => \1 }])->{groups};
    $sim->by_hand('iscsi.target.create', [{ name => 'proxmox2', groups => $groups }]);
    $sim->by_hand('pool.dataset.create', [{ name => 'tank/second', type => 'FILESYSTEM' }]);
    $node->ask('usr/sbin/iscsiadm', '-m', 'node', '-T', $section->{target_iqn}, '--logout');
    my $longer = alloc('nas2', $other, 100, undef, 32);
    $class->activate_volume('nas2', $other, $longer, undef, {});
    my $volname = alloc('nas1', $section, 100, undef, 32);

    said TestVersion1::is_logged_in($section->{target_iqn}, $section->{discovery_portal}),
        'the session of proxmox2 is one of proxmox';
    said !defined TestVersion1::device($section->{target_iqn}, lun_of($volname)), 'and no disk is ever found';
    $class->activate_volume('nas1', $section, $volname, undef, {});
    is identity(link_of('nas1', 'vm-100-disk-0')), extent($sim, 'tank/proxmox/vm-100-disk-0')->{naa},
        'the right target is logged in to, and has the disk';
    is identity(link_of('nas2', 'vm-100-disk-0')), extent($sim, 'tank/second/vm-100-disk-0')->{naa},
        'the other keeps its own';
    free('nas1', $section, $volname);
    free('nas2', $other, $longer);
};

subtest 'a target whose name is the end of ours' => sub {
    my $groups = $sim->by_hand('iscsi.target.query', [[], { get => \1 }])->{groups};
    $sim->by_hand('iscsi.target.create', [{ name => 'lab:proxmox', groups => $groups }]);
    $sim->by_hand('pool.dataset.create', [{ name => 'tank/lab', type => 'FILESYSTEM' }]);
    my $scfg = { %$section, target_iqn => "$BASE:lab:proxmox", dataset => 'tank/lab' };
    my ($ours) = grep { $_->{name} eq 'lab:proxmox' } $sim->by_hand('iscsi.target.query', [])->@*;
    said TestVersion1::target_id($sim, $scfg->{target_iqn}) != $ours->{id},
        'volumes of lab:proxmox are mapped to proxmox';
    my $volname = alloc('nas3', $scfg, 100, undef, 32);
    my $extent = extent($sim, 'tank/lab/vm-100-disk-0')->{id};
    my $mapping =
        $sim->by_hand('iscsi.targetextent.query', [[['extent', '=', $extent]], { get => \1 }]);
    is $mapping->{target}, $ours->{id}, 'the volume is on its own target';
    free('nas3', $scfg, $volname);
};

subtest 'two storages on one target' => sub {
    $sim->by_hand('pool.dataset.create', [{ name => 'tank/third', type => 'FILESYSTEM' }]);
    my $other = { %$section, dataset => 'tank/third' };
    my $first = alloc('nas1', $section, 100, 'vm-100-disk-0', 32);
    my $second = alloc('nas4', $other, 100, 'vm-100-disk-0', 32);
    my $victim = TestVersion1::freed($sim, $other, 'vm-100-disk-0');
    said scalar(grep { $_ eq $first } TestVersion1::listed($sim, $other)),
        'the second storage lists the volumes of the first';
    said $victim->{extent_of} eq 'zvol/tank/proxmox/vm-100-disk-0',
        'a free on the second takes the export of the first';
    is_deeply [map { $_->{volid} } $class->list_images('nas4', $other)->@*], ["nas4:$second"],
        'each lists its own';
    free('nas4', $other, $second);
    ok extent($sim, 'tank/proxmox/vm-100-disk-0'), 'a free leaves the export of the other';
    ok !exists_on($sim, 'tank/third/vm-100-disk-0'), 'and takes its own zvol';
    free('nas1', $section, $first);
};

subtest 'two storages on one dataset' => sub {
    my $volname = alloc('nas1', $section, 100, undef, 32);
    my $victim = TestVersion1::freed($sim, $section, 'vm-100-disk-0');
    said $victim->{zvol} eq 'tank/proxmox/vm-100-disk-0',
        'a free on the second destroys a volume of the first';
    is_deeply $class->list_images('nas5', $section), [], 'the second storage does not list it';
    my %ways = (
        free => sub { free('nas5', $section, $volname) },
        resize => sub { $class->volume_resize($section, 'nas5', $volname, 2**26, undef, undef) },
        rename => sub { $class->rename_volume($section, 'nas5', $volname, 101, undef) },
        template => sub { $class->create_base('nas5', $section, $volname) },
    );
    refused(qr/belongs to storage 'nas1'/, $ways{$_}, "$_ is refused") for sort keys %ways;
    is scalar $class->volume_size_info($section, 'nas1', $volname, 5), 32 * 2**20, 'it is as it was';
    free('nas1', $section, $volname);
};

subtest 'two storages on one NAS, in one list' => sub {
    my $other = { %$section, target_iqn => "$BASE:proxmox2", dataset => 'tank/second' };
    my @volumes = (alloc('nas1', $section, 100, undef, 32), alloc('nas2', $other, 200, undef, 32));
    my %cache;
    TestVersion1::listed($sim, $section, \%cache);
    said join(',', TestVersion1::listed($sim, $other, \%cache)) eq $volumes[0],
        'the second storage has the volumes of the first';
    my %shared;
    my @lists = map { $class->list_images($_->[0], $_->[1], undef, undef, \%shared) }
        (['nas1', $section], ['nas2', $other]);
    my @volids = map { $_->{volid} } map { @$_ } @lists;
    is_deeply \@volids, ["nas1:$volumes[0]", "nas2:$volumes[1]"], 'each has its own';
    free('nas1', $section, $volumes[0]);
    free('nas2', $other, $volumes[1]);
};

sub become_cluster ($digit) {
    open my $file, '>', etc_folder() . '/priv/storage/_truenas.cluster-id' or die "cluster id: $!";
    print {$file} '11111111-2222-4333-8444-', $digit x 12, "\n";
    close $file or die "cluster id: $!";
    return;
}

subtest 'two clusters on one pool' => sub {
    become_cluster(1);
    my $volname = alloc('nas1', $section, 100, undef, 32);
    $class->volume_snapshot($section, 'nas1', $volname, 'one');
    become_cluster(2);
    my $victim = TestVersion1::freed($sim, $section, 'vm-100-disk-0');
    said exists_on($sim, $victim->{zvol}) && $victim->{extent_of} eq "zvol/$victim->{zvol}",
        'the second cluster destroys a disk of the first';
    my %ways = (
        free => sub { free('nas1', $section, $volname) },
        rollback => sub { $class->volume_snapshot_rollback($section, 'nas1', $volname, 'one') },
        rename => sub { $class->rename_volume($section, 'nas1', $volname, 101, undef) },
        resize => sub { $class->volume_resize($section, 'nas1', $volname, 2**26, undef, undef) },
    );
    refused(qr/belongs to another cluster/, $ways{$_}, "$_ is refused") for sort keys %ways;
    my $own = alloc('nas1', $section, 100, undef, 32);
    like $own, qr/^vol-vm-100-disk-1-lun/, 'a new disk gets a name of its own';
    free('nas1', $section, $own);
    become_cluster(1);
    free('nas1', $section, $volname);
};

subtest 'a zvol with our name that somebody else made' => sub {
    $sim->by_hand(
        'pool.dataset.create',
        [{ name => 'tank/proxmox/vm-100-disk-0', type => 'VOLUME', volsize => 2**25 }]
    );
    my $target = $sim->by_hand('iscsi.target.create', [{ name => 'elsewhere' }]);
    my $extent = $sim->by_hand(
        'iscsi.extent.create',
        [{ name => 'vm-100-disk-0', type => 'DISK', disk => 'zvol/tank/proxmox/vm-100-disk-0' }]
    );
    $sim->by_hand(
        'iscsi.targetextent.create',
        [{ target => $target->{id}, extent => $extent->{id}, lunid => 5 }]
    );

    my $victim = TestVersion1::freed($sim, $section, 'vm-100-disk-0');
    said exists_on($sim, $victim->{zvol}) && $victim->{extent_of} eq "zvol/$victim->{zvol}",
        'a free of that name destroys it';
    refused(
        qr/'tank\/proxmox\/vm-100-disk-0' already exists/,
        sub { alloc('nas1', $section, 100, 'vm-100-disk-0', 32) },
        'it is not taken for a new disk'
    );
    like alloc('nas1', $section, 100, undef, 32), qr/^vol-vm-100-disk-1-lun/, 'a new disk gets another name';
    is_deeply [grep { /disk-0/ } map { $_->{volid} } $class->list_images('nas1', $section)->@*], [],
        'it is not listed';
    refused(
        qr/is exported by another target/,
        sub { free('nas1', $section, 'vm-100-disk-0') },
        'nor freed'
    );
    ok exists_on($sim, 'tank/proxmox/vm-100-disk-0'), 'it is still there';
};

subtest 'a portal that answers for another NAS' => sub {
    $node->ask('usr/sbin/iscsiadm', '-m', 'node', '-T', $section->{target_iqn}, '--logout');
    my $elsewhere = TestSim->start(plain => '', 'limiter-window' => 100, seed => 2, listen => '127.0.0.7:0');
    my $scfg = $elsewhere->section();
    my $ours = alloc('nas6', $scfg, 300, undef, 32);
    my $wrong = alloc('nas1', $section, 300, undef, 32);
    until (lun_of($wrong) == lun_of($ours)) {
        if (lun_of($wrong) < lun_of($ours)) {
            $wrong = alloc('nas1', $section, 300, undef, 32);
        } else {
            $ours = alloc('nas6', $scfg, 300, undef, 32);
        }
    }
    $class->activate_volume('nas1', $section, $wrong, undef, {});
    my $taken = disk(TestVersion1::device($scfg->{target_iqn}, lun_of($ours)));
    my ($zname) = $wrong =~ /^vol-(.*)-lun/;
    said identity($taken) eq extent($sim, "tank/proxmox/$zname")->{naa},
        "a disk of the other NAS is handed out for nas6's, in the same size";
    $class->deactivate_volume('nas1', $section, $wrong, undef, {});
    refused(
        qr/is another volume's/,
        sub { $class->activate_volume('nas6', $scfg, $ours, undef, {}) },
        'no disk is handed out'
    );
    my ($own) = $ours =~ /^vol-(.*)-lun/;
    ok !-l link_of('nas6', $own), 'and no link is made';
};

done_testing;
