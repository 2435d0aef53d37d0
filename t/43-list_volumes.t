use v5.36;

use File::Path qw(make_path);
use Test::More;

use lib 't/lib';
use TestNode qw(etc_folder);
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(preload => 3);

for my $guest (qw(qemu-server/100 lxc/101)) {
    my $path = etc_folder() . "/nodes/pve1/$guest.conf";
    make_path($path =~ s{/[^/]+$}{}r);
    open my $file, '>', $path or die "$path: $!";
}

sub contents (@types) {
    return { map { $_->{vmid} => $_->{content} }
            $class->list_volumes('nas1', $sim->section(), undef, \@types)->@* };
}

$sim->calls();
is_deeply contents(qw(rootdir images)), { 100 => 'images', 101 => 'rootdir', 102 => 'images' },
    'whose a volume is, the guest list tells';
is scalar(grep { $_ eq 'zfs.resource.query' } $sim->calls()), 1,
    'for two content types the NAS is asked once';
is_deeply contents('rootdir'), { 101 => 'rootdir' }, 'only what was asked for';
is_deeply contents('iso'), {}, 'nothing of what we do not have';

done_testing;
