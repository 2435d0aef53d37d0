use v5.36;

use JSON::PP qw(decode_json encode_json);
use Test::More;

use lib 't/lib';
use TestNode qw(node_folder);
use TestSim;
use PVE::Storage;

# Volumes of 2.x have no mark on the TrueNAS: nothing but their export tells how their guests' configurations spell them.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $state = node_folder() . '/state.json';

sub listed ($scfg) {
    return [sort map { $_->{volid} } $class->list_images('nas1', $scfg)->@*];
}

sub unmark () {
    open my $in, '<', $state or die "$state: $!";
    local $/ = undef;
    my $all = decode_json(<$in>);
    $_->{user} = {} for values $all->{zfs}->{datasets}->%*, values $all->{zfs}->{snapshots}->%*;
    open my $out, '>', $state or die "$state: $!";
    print {$out} encode_json($all);
    close $out or die "$state: $!";
    return;
}

my $before = TestSim->start(state => $state);
my $scfg = $before->section();
my $disk = $class->alloc_image('nas1', $scfg, 100, 'raw', undef, 1024);
$class->volume_snapshot($scfg, 'nas1', $disk, 'before_2x');
my $base = $class->create_base('nas1', $scfg, $class->alloc_image('nas1', $scfg, 101, 'raw', undef, 1024));
my $clone = $class->clone_image($scfg, 'nas1', $base, 102, undef);
$before->stop();
unmark();

# Other serial numbers than those that are there.
my $sim = TestSim->start(state => $state, seed => 2);
$scfg = $sim->section();
my %listed = map { $_ => 1 } listed($scfg)->@*;
ok $listed{"nas1:$disk"}, 'a disk is listed by its LUN';
ok $listed{"nas1:$base"}, 'a template too';
ok $listed{"nas1:$clone"}, 'a linked clone with its template';

is_deeply [keys $class->volume_snapshot_info($scfg, 'nas1', $disk)->%*], ['before_2x'],
    'a snapshot is known by its name';
$class->volume_resize($scfg, 'nas1', $disk, 2**21, undef, undef);
$class->volume_snapshot_rollback($scfg, 'nas1', $disk, 'before_2x');
is scalar $class->volume_size_info($scfg, 'nas1', $disk, 5), 2**20, 'and can be rolled back to';
$class->volume_snapshot($scfg, 'nas1', $disk, 'new');
ok !eval { $class->volume_rollback_is_possible($scfg, 'nas1', $disk, 'before_2x'); 1 },
    'a new one stands before it';
like $@, qr/would destroy: new\n/, 'as one of ours';
$class->volume_snapshot_delete($scfg, 'nas1', $disk, $_, undef) for qw(new before_2x);
is_deeply $class->volume_snapshot_info($scfg, 'nas1', $disk), {}, 'both can be deleted';

ok !eval { $class->free_image('nas1', $scfg, $base, 1); 1 }, 'a template with a clone is not freed';
like $@, qr/is the origin of: tank\/proxmox\/vm-102-disk-0/, 'and the clone is named';
my $other = $class->clone_image($scfg, 'nas1', $base, 103, undef);
like $other, qr{\A\Q$base\E/vol-vm-103-disk-0-lun\d+\z}, 'it can be cloned';
my $renamed = $class->rename_volume($scfg, 'nas1', $clone, 104, undef);
like $renamed, qr{\Anas1:\Q$base\E/vol-vm-104-disk-0-lun\d+\z}, 'a clone goes to another guest';
my $template = $class->create_base('nas1', $scfg, $disk);
is_deeply listed($scfg), [sort map { "nas1:$_" } $base, $other, $renamed =~ s/^nas1://r, $template],
    'what was changed has a mark and keeps its name';

done_testing;
