use v5.36;

use POSIX ();
use Test::More;

use lib 't/lib';
use TestNode qw(node_folder);
use TestSim;
use PVE::Storage;

# The limits on logins are another test's matter: the server forgets them at once, and each child is a node of its own.
my $sim = TestSim->start(preload => 3, 'limiter-window' => 1);
my $cfg = $sim->configure('nas1', api_key => $sim->key());

local $SIG{__WARN__} = sub { };

sub volumes () { return scalar PVE::Storage::vdisk_list($cfg, 'nas1')->{nas1}->@* }

sub in_child ($number, $code) {
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    mkdir node_folder() . "/child$number";
    $ENV{PVETRUENAS_NODE} = node_folder() . "/child$number";
    POSIX::_exit(eval { $code->() } ? 0 : 1);
}

sub failed (@pids) {
    return scalar grep { waitpid $_, 0; $? } @pids;
}

is volumes(), 3, 'the parent opens a connection';
my $logins = $sim->logins();

my @children = map {
    in_child(
        $_,
        sub {
            return !grep { volumes() != 3 } 1 .. 5;
        }
    )
} 1 .. 20;
my $parents = grep { volumes() == 3 } 1 .. 20;
is failed(@children), 0, '20 children call at the same time, and each gets its own answers';
is $parents, 20, 'so does the parent meanwhile';
is volumes(), 3, 'and afterwards';
is $sim->logins() - $logins, 20, 'the parent kept its connection, every child opened one';

is failed(in_child(21, sub { 1 })), 0, 'a child that calls nothing ends';
is volumes(), 3, 'without hanging up on the parent';

my $grandchild = sub {
    return !failed(in_child(23, sub { volumes() == 3 })) && volumes() == 3;
};
is failed(in_child(22, $grandchild)), 0, 'a child of a child has a connection of its own too';
is $sim->logins() - $logins, 22, 'of these three, one called nothing';

{
    my @inner;
    local $SIG{ALRM} = sub {
        push @inner, in_child(24, sub { volumes() == 3 });
    };
    alarm 1;
    PVE::Storage::TrueNAS::Native::selftest('wait', 1.5) if PVE::Storage::TrueNAS::Native->can('selftest');
    alarm 0;
    is failed(@inner), 0, 'a fork in a signal handler during a call';
    is volumes(), 3, 'harms neither side';
}

done_testing;
