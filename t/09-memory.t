use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(section);
use TestSim;
use PVE::Storage::TrueNAS::Native;

plan skip_all => 'the library was built without its self-test'
    if !PVE::Storage::TrueNAS::Native->can('selftest');

sub resident () {
    open my $file, '<', '/proc/self/statm' or die "statm: $!";
    my (undef, $pages) = split ' ', <$file>;
    return $pages * 4096;
}

my $section = section(api_port => 'none', map { ("x$_" => "y" x 100) } 1 .. 50);
my $sim = TestSim->start(preload => 10);
my $works = $sim->section();
my %calls = (
    'a list from the NAS' => sub {
        PVE::Storage::TrueNAS::Native::list_images('nas1', $works, undef, undef)->@* == 10 or die 'no list';
    },
    'a result' => sub {
        PVE::Storage::TrueNAS::Native::parse_volname('base-9-disk-0/vm-100-disk-0');
    },
    'long text' => sub {
        PVE::Storage::TrueNAS::Native::selftest('echo', "\x{263a}" x 10_000);
    },
    'an error' => sub {
        eval { PVE::Storage::TrueNAS::Native::selftest('error', 'x' x 1000) }
    },
    'a section that is refused' => sub {
        eval { PVE::Storage::TrueNAS::Native::status('nas1', $section) }
    },
    'a caller\'s mistake' => sub {
        eval { PVE::Storage::TrueNAS::Native::path(1 .. 9) }
    },
    'a panic' => sub {
        eval { PVE::Storage::TrueNAS::Native::selftest('panic', 'x' x 1000) }
    },
    'a signal that dies' => sub {
        local $SIG{USR1} = sub { die 'x' x 1000 };
        eval {
            kill USR1 => $$;
            PVE::Storage::TrueNAS::Native::selftest('wait', 1);
        };
    },
);
for my $what (sort keys %calls) {
    my $call = $calls{$what};
    $call->() for 1 .. 200;
    my $before = resident();
    $call->() for 1 .. 1000;
    my $growth = resident() - $before;
    cmp_ok $growth, '<', 256 * 1024, "1,000 times $what: no growth";
}

done_testing;
