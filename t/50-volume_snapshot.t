use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $scfg = $sim->section();
my $volname = 'vol-vm-100-disk-0-lun0';
my @volume = ($scfg, 'nas1', $volname);

sub names () { return [sort keys $class->volume_snapshot_info(@volume)->%*] }

is_deeply names(), [], 'no snapshots yet';
is_deeply [$class->volume_snapshot(@volume, 'one')], [], 'a snapshot is taken';
$class->volume_snapshot(@volume, 'two');
is_deeply names(), [qw(one two)], 'and another';

my $info = $class->volume_snapshot_info(@volume);
is $info->{two}->{parent}, 'one', 'each knows the one before it';
ok !exists $info->{one}->{parent}, 'the first has none';
for my $name (qw(one two)) {
    like $info->{$name}->{id}, qr/\A\d+\z/, "$name: an identity";
    like $info->{$name}->{timestamp}, qr/\A\d{10}\z/, 'a time in seconds';
    is $info->{$name}->{ctime}, $info->{$name}->{timestamp}, 'by both names';
    is $info->{$name}->{'virtual-size'}, 2**30, 'a size in bytes';
}

ok !eval { $class->volume_snapshot(@volume, 'one'); 1 }, 'a name is given once';
like $@, qr{\Asnapshot vol-vm-100-disk-0-lun0\@one on storage 'nas1': .* exists already\n  what to do: }s,
    'which is said in words';

is_deeply [$class->volume_snapshot_delete(@volume, 'two', undef)], [], 'a snapshot is deleted';
is_deeply [$class->volume_snapshot_delete(@volume, 'two', 1)], [], 'deleting it again is no error';
is_deeply names(), ['one'], 'the other stays';

is_deeply [$class->rename_snapshot(@volume, 'one', 'first')], [], 'a snapshot is renamed';
is_deeply names(), ['first'], 'and known by its new name';

is $class->volume_snapshot_needs_fsfreeze(), 1, 'containers are frozen: it is taken on the NAS';
is $class->volume_qemu_snapshot_method('nas1', $scfg, $volname), 'storage', 'by the storage, not QEMU';
is $class->storage_can_replicate($scfg, 'nas1', 'raw'), 0, 'no replication';

done_testing;
