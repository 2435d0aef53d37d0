use v5.36;

# What Proxmox VE's own code for guests does with the disks of one, from the first snapshot to its end.

use File::Path qw(make_path);
use Test::More;

use lib 't/lib';
use TestNode qw(node_folder etc_folder beside_sim root);
use TestSim;
use TestFakeNode;

# Proxmox VE's code looks there by name.
my ($etc_pve, $made_it);

BEGIN {
    $etc_pve = '/etc/pve';
    plan skip_all => 'wants root' if $>;
    plan skip_all => "has to make $etc_pve, which is there" if -e $etc_pve || -l $etc_pve;
    symlink etc_folder(), $etc_pve or die "$etc_pve: $!";
    $made_it = $$;
}
END { unlink $etc_pve if ($made_it // 0) == $$ }

use PVE::Storage;
use PVE::QemuConfig;
use PVE::QemuServer;
use PVE::RPCEnvironment;

PVE::RPCEnvironment::get();
my $name = PVE::INotify::nodename();
my $sim = TestSim->start();
my $node = TestFakeNode->start($sim);
make_path(map { node_folder() . "/$_" } qw(etc usr/sbin));
make_path(etc_folder() . "/nodes/$name/qemu-server");
symlink "nodes/$name", etc_folder() . '/local' or die "local: $!";

sub write_file ($path, $text) {
    open my $file, '>', $path or die "$path: $!";
    print {$file} $text;
    close $file or die "$path: $!";
    return;
}

write_file(node_folder() . '/etc/hostname', "$name\n");
write_file(
    etc_folder() . '/.members',
    qq({"nodename": "$name", "version": 1, "cluster": {"name": "lab", "version": 1, "nodes": 1, "quorate": 1},)
        . qq("nodelist": {"$name": {"id": 1, "online": 1, "ip": "127.0.0.1"}}}\n)
);

# As qm: the code that its command runs.
my $qm = node_folder() . '/usr/sbin/qm';
my $place = root();
write_file($qm, <<"QM");
#!/bin/bash
cd '$place'
export PVETRUENAS_NODE='@{[node_folder()]}' PVETRUENAS_ETC_PVE='@{[etc_folder()]}'
[ "\$1" = delsnapshot ] || exit 2
exec perl -It/lib -Iblib/lib -Iblib/arch -e '
    use PVE::Storage; use PVE::QemuConfig; use PVE::QemuServer; use PVE::RPCEnvironment;
    PVE::RPCEnvironment::get(); PVE::QemuConfig->snapshot_delete(\@ARGV)' "\$2" "\$3"
QM
chmod 0755, $qm;

# What the tool says, and its exit status.
sub pvetruenas (@arguments) {
    open my $output, '-|', beside_sim('pvetruenas'), @arguments or die "pvetruenas: $!";
    local $/ = undef;
    my $said = <$output>;
    close $output;
    return [$? >> 8, $said];
}

sub lives ($what, $code) {
    return ok(eval { $code->(); 1 }, $what) || diag $@;
}

my $cfg = $sim->configure('nas1');
PVE::Storage::activate_storage($cfg, 'nas1');
my @disks = map { PVE::Storage::vdisk_alloc($cfg, 'nas1', 100, 'raw', undef, 1024 * 1024) } 1, 2;
my %drives = map { ("scsi$_" => "$disks[$_],size=1G") } 0, 1;
PVE::QemuConfig->write_config(100, { digest => '', %drives, boot => 'order=scsi0', memory => 512 });

sub snapshots ($volid) {
    return [sort keys PVE::Storage::volume_snapshot_info($cfg, $volid)->%*];
}

lives("snapshot '$_'", sub { PVE::QemuConfig->snapshot_create(100, $_, 0, '') }) for qw(one two three);
is_deeply snapshots($disks[1]), [qw(one three two)], 'each disk has them';
lives('back to the newest', sub { PVE::QemuConfig->snapshot_rollback(100, 'three') });
ok !eval { PVE::QemuConfig->snapshot_rollback(100, 'one'); 1 }, 'and to no older one';
like $@, qr/is not the newest snapshot, and rolling back would destroy: /, 'which would cost the newer ones';

my @prune = qw(snapshots prune nas1 --count 1 --guest-snapshots);
my $planned = pvetruenas(@prune);
is $planned->[0], 1, 'of the snapshots of the guest two would go' or diag $planned->[1];
like $planned->[1], qr/VM 100  two  .*no rule keeps it: qm delsnapshot 100 two$/m, 'with all disks';
is pvetruenas(@prune, '--apply')->[0], 0, 'and do, by PVE';
is_deeply [snapshots($disks[0]), snapshots($disks[1])], [['three'], ['three']], 'on the TrueNAS';
is_deeply [keys PVE::QemuConfig->load_config(100)->{snapshots}->%*], ['three'], 'and in the configuration';
lives('the last one goes', sub { PVE::QemuConfig->snapshot_delete(100, 'three') });

lives('a scan finds nothing to change', sub { PVE::QemuServer::rescan(100, 0, 0) });
lives('a template', sub { PVE::QemuServer::template_create(100, PVE::QemuConfig->load_config(100)) });
my ($base) = PVE::QemuConfig->load_config(100)->{scsi0} =~ /^([^,]+)/;
like $base, qr/^nas1:vol-base-100-disk-0-lun\d+$/, 'has a disk to clone from';
my $clone = PVE::Storage::vdisk_clone($cfg, $base, 200);
PVE::QemuConfig->write_config(200, { digest => '', scsi0 => "$clone,size=1G" });
PVE::QemuServer::destroy_vm($cfg, 100, undef, {}, 1);
is_deeply [map { $_->{volid} } PVE::Storage::vdisk_list($cfg, 'nas1')->{nas1}->@*], [$base, $clone],
    'of a template that is destroyed a disk with a clone stays';
lives('the clone goes', sub { PVE::QemuServer::destroy_vm($cfg, 200, undef, {}, 1) });
lives('and what it was made from', sub { PVE::Storage::vdisk_free($cfg, $base) });
is_deeply PVE::Storage::vdisk_list($cfg, 'nas1')->{nas1}, [], 'nothing is left';
is_deeply $sim->luns(), {}, 'nothing is exported';

done_testing;
