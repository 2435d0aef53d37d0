use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

# The data itself is transferred on a real kernel (rig/tests); here is what needs no device.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 1);
my $scfg = $sim->section();
my @volume = ($scfg, 'nas1', 'vol-vm-100-disk-0-lun0');

for my $formats (qw(volume_export_formats volume_import_formats)) {
    is_deeply [$class->$formats(@volume, undef, undef, 0)], ['raw+size'], "$formats: raw+size";
    is_deeply [$class->$formats(@volume, 'one', undef, 0)], ['raw+size'], 'of a snapshot too';
    is_deeply [$class->$formats(@volume, undef, undef, 1)], [], 'not with snapshots';
    is_deeply [$class->$formats(@volume, undef, 'zero', 0)], [], 'and no increments';
}

sub before () { return scalar $class->list_images('nas1', $scfg)->@* }
my $before = before();

sub refused ($what, $stream, $pattern, @arguments) {
    open my $handle, '<', \$stream or die "in memory: $!";
    my ($read, $write);
    pipe $read, $write or die "pipe: $!";
    print {$write} $stream;
    close $write or die "pipe: $!";
    ok !eval { $class->volume_import($scfg, 'nas1', $read, 'vm-105-disk-0', @arguments); 1 },
        "$what: refused";
    like $@, $pattern, 'in words';
    is before(), $before, 'and nothing is left';
    return;
}

my @raw = ('raw+size', undef, undef, 0, 0);
refused('snapshots', '', qr/snapshots cannot be transferred/, 'raw+size', undef, undef, 1, 0);
refused('another format', '', qr/format 'zfs' is not possible.*raw\+size/s, 'zfs', undef, undef, 0, 0);
refused('nothing at all', '', qr/the stream ends before it has told the size/, @raw);
refused('half a header', "\0\0\0", qr/the stream ends before it has told the size/, @raw);
refused('no bytes', pack('Q<', 0), qr/0 bytes are no size/, @raw);
refused('too many bytes', pack('Q<', ~0), qr/bytes are no size/, @raw);
refused(
    'a device that does not come', pack('Q<', 2**20), qr/iscsiadm is not installed|no iSCSI session/,
    @raw
);

ok !eval {
    open my $null, '>', '/dev/null' or die "null: $!";
    $class->volume_export($scfg, 'nas1', $null, $volume[2], 'tar+size', undef, undef, 0);
    1;
}, 'export in another format: refused';
like $@, qr/format 'tar\+size' is not possible/, 'in words';

done_testing;
