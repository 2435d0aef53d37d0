use v5.36;

use Test::More;

use lib 't/lib';
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 10_000);
my $section = $sim->section();

sub peak () {
    open my $file, '<', '/proc/self/status' or die "status: $!";
    my ($kib) = map { /^VmHWM:\s+(\d+) kB/ ? $1 : () } <$file>;
    return $kib * 1024;
}

$class->status('nas1', $section, {});
my $idle = peak();
my $images = $class->list_images('nas1', $section);
my $more = peak() - $idle;
note sprintf '%d volumes took %.1f MiB at most', scalar @$images, $more / 2**20;

is scalar @$images, 10_000, 'all of them';
cmp_ok $more, '<', 64 * 2**20, 'in less than 64 MiB';
my %seen = map { $_->{volid} => 1 } @$images;
is scalar keys %seen, 10_000, 'each once';
is_deeply [$sim->calls()],
    [
    'zfs.resource.query',
    qw(zfs.resource.query iscsi.global.config iscsi.target.query iscsi.extent.query iscsi.targetextent.query),
    'nvmet.namespace.query',
    ],
    'in one flight, whatever their number';

done_testing;
