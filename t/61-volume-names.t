use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

# A volume keeps the id that PVE was given, whatever tn_volume_names says later, and every spelling of it is understood.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start();
my ($cfg, $scfg);

sub name_as ($kind) {
    $cfg = $sim->configure('nas1', tn_volume_names => $kind);
    $scfg = $cfg->{ids}->{nas1};
    return;
}

sub listed () {
    return [map { s/^nas1://r } sort map { $_->{volid} } $class->list_images('nas1', $scfg)->@*];
}
sub size ($volname) { return scalar $class->volume_size_info($scfg, 'nas1', $volname, 5) }
sub path ($volname) { return scalar $class->path($scfg, $volname, 'nas1') }

sub free ($volname) {
    my $later = $class->free_image('nas1', $scfg, $volname, 0, 'raw');
    $later->() if $later;
    return;
}

# What a name looks like that was made under this option.
my %form = (
    transport => sub ($zvol) { return qr/vol-$zvol-lun[1-9]\d*/ },
    plain => sub ($zvol) { return qr/$zvol/ },
);

# The number and the UUID in a name are hints: any is right.
sub spellings ($zvol, $volname) {
    my $uuid = '6b165acc-0000-4000-8000-000000000001';
    my %all = map { $_ => 1 } $volname, $zvol, "vol-$zvol-lun3", "vol-$zvol-lun977", "vol-$zvol-ns$uuid";
    my @sorted = sort keys %all;
    return @sorted;
}

sub life_of_a_disk ($made, $now, $vmid) {
    my $zvol = "vm-$vmid-disk-0";
    name_as($made);
    my $volname = $class->alloc_image('nas1', $scfg, $vmid, 'raw', undef, 1024);
    like $volname, qr/\A${\ $form{$made}->($zvol)}\z/, "made as $made";
    name_as($now);
    is_deeply listed(), [$volname], "listed as it was made when new ones are $now";

    my $bytes = 2**20;
    for my $spelling (spellings($zvol, $volname)) {
        is path($spelling), "/dev/truenas/nas1/$zvol", "$spelling: path";
        is size($spelling), $bytes, 'size';
        $bytes += 2**20;
        $class->volume_resize($scfg, 'nas1', $spelling, $bytes, undef, undef);
        is size($volname), $bytes, 'resize';
        $class->volume_snapshot($scfg, 'nas1', $spelling, 'one');
        is_deeply [keys $class->volume_snapshot_info($scfg, 'nas1', $volname)->%*], ['one'], 'snapshot';
        is_deeply [keys $class->volume_snapshot_info($scfg, 'nas1', $spelling)->%*], ['one'], 'is seen';
        $class->volume_snapshot_rollback($scfg, 'nas1', $spelling, 'one');
        $class->volume_snapshot_delete($scfg, 'nas1', $spelling, 'one', undef);
        is_deeply $class->volume_snapshot_info($scfg, 'nas1', $volname), {}, 'rolled back and deleted';
        $class->update_volume_attribute($scfg, 'nas1', $spelling, 'notes', $spelling);
        is $class->get_volume_attribute($scfg, 'nas1', $volname, 'notes'), $spelling, 'notes';
        is_deeply listed(), [$volname], 'and it is spelt as before';
    }

    my $base = $class->create_base('nas1', $scfg, $volname);
    like $base, qr/\A${\ $form{$now}->("base-$vmid-disk-0")}\z/, "its template is named as $now";
    my $guest = $vmid + 1;
    my $clone = $class->clone_image($scfg, 'nas1', $base, $guest, undef);
    like $clone, qr{\A\Q$base\E/${\ $form{$now}->("vm-$guest-disk-0")}\z}, 'a clone too, behind its template';
    name_as($made);
    is_deeply listed(), [sort $base, $clone], 'both keep their names';

    my $own = "vm-$guest-disk-0";
    for my $before ('', "base-$vmid-disk-0/", "vol-base-$vmid-disk-0-lun1/") {
        for my $after ($own, "vol-$own-lun2") {
            my $spelling = "$before$after";
            is path($spelling), "/dev/truenas/nas1/$own", "$spelling: path";
            is size($spelling), $bytes, 'size';
            my (undef, $name, $owner) = $class->parse_volname($spelling);
            is_deeply [$name, $owner], [$own, $guest], 'name and owner';
        }
    }

    # The name without a slash is another one for the same disk.
    ok !eval { $class->free_image('nas1', $scfg, "base-$vmid-disk-0", 1, 'raw'); 1 },
        'the template is in use under its other name too';

    my $volid = $class->rename_volume($scfg, 'nas1', $clone, $guest + 1, undef);
    my $other = 'vm-' . ($guest + 1) . '-disk-0';
    like $volid, qr{\Anas1:\Q$base\E/${\ $form{$made}->($other)}\z},
        'a new name is given as the option says now';
    is_deeply listed(), [sort $base, $volid =~ s/^nas1://r], 'under which it is listed';
    free("base-$vmid-disk-0/$other");
    free("vol-base-$vmid-disk-0-lun5");
    is_deeply listed(), [], 'both are freed by names that PVE never saw';
    return;
}

my $vmid = 100;
for my $made (qw(transport plain)) {
    for my $now (qw(transport plain)) {
        subtest "made as $made, then $now" => sub { life_of_a_disk($made, $now, $vmid) };
        $vmid += 10;
    }
}

for my $kind (qw(transport plain)) {
    name_as($kind);
    is $class->alloc_image('nas1', $scfg, 200, 'raw', 'vm-200-cloudinit', 4096), 'vm-200-cloudinit',
        "$kind: cloud-init is plain";
    is size('vol-vm-200-cloudinit-lun4'), 4 * 2**20, 'and understood when it is spelt as 1.x did';
    free('vol-vm-200-cloudinit-lun4');
    like $class->alloc_image('nas1', $scfg, 200, 'raw', 'vol-vm-200-state-x-lun900', 4096),
        qr/\A${\ $form{$kind}->('vm-200-state-x')}\z/, 'a number in a wanted name is not taken for its own';
    free('vm-200-state-x');
}
is_deeply listed(), [], 'nothing is left';

done_testing;
