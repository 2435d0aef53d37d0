use v5.36;

use POSIX ();
use Test::More;
use Time::HiRes qw(time alarm);

use lib 't/lib';
use TestNode qw(run_perl);
use PVE::Storage::TrueNAS::Native;

my $native = 'PVE::Storage::TrueNAS::Native';
plan skip_all => 'the library was built without its self-test'
    if !$native->can('selftest');

sub wait_for ($seconds) {
    return PVE::Storage::TrueNAS::Native::selftest('wait', $seconds);
}

sub unwound () {
    return PVE::Storage::TrueNAS::Native::selftest('unwound', '');
}

# The bounds below separate "at once" from "after the wait"; they are no measure of speed.
my $long = 10;

{
    my $started = time;
    local $SIG{ALRM} = sub { die "got timeout\n" };
    alarm 1;
    ok !eval { wait_for($long); 1 }, 'an alarm ends a long call';
    is $@, "got timeout\n", 'with the handler\'s own text';
    cmp_ok time - $started, '<', $long / 2,
        'long before the call would have ended';
    is unwound(), 1, 'and what the call held was released';
}

{
    my $exception = bless { code => 408 }, 'Some::Exception';
    local $SIG{ALRM} = sub { die $exception };
    alarm 0.2;
    eval { wait_for($long) };
    is ref $@, 'Some::Exception', 'an exception object stays one';
    is $@, $exception, 'the very same';
}

{
    my $runs = 0;
    local $SIG{USR1} = sub { $runs++; kill USR1 => $$ if $runs < 5 };
    my $started = time;
    local $@ = 'kept';
    fork_and_send(USR1 => 0.1);
    is wait_for(0.6), 'waited', 'handlers that return do not end the call';
    cmp_ok time - $started, '>', 0.5, 'nor shorten it';
    is $runs, 5, 'all of them ran';
    is $@, 'kept', 'the caller\'s $@ is untouched';
    1 while wait > 0;
}

sub fork_and_send ($signal, $delay) {
    my $parent = $$;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    select undef, undef, undef, $delay;    ## no critic (ProhibitSleepViaSelect)
    kill $signal => $parent;
    POSIX::_exit(0);
}

{
    local $SIG{CHLD} = sub { 1 while waitpid(-1, POSIX::WNOHANG()) > 0 };
    fork_and_send(CONT => 0.1);
    is wait_for(0.4), 'waited', 'a child that ends does not end the call';
}

{
    my $inner;
    local $SIG{ALRM} = sub { $inner = wait_for(0.1) };
    alarm 0.1;
    is wait_for(0.4), 'waited', 'a handler may call the library again';
    is $inner, 'waited', 'and gets its own answer';
}

{
    my $died = 0;
    for my $round (1 .. 100) {
        local $SIG{ALRM} = sub { die "now\n" };
        alarm 0.001 + rand 0.004;
        eval { wait_for($long) };
        $died++ if $@ eq "now\n";
        alarm 0;
    }
    is $died, 100, 'of 100 alarms at any moment none is lost';
}

{
    local $SIG{ALRM} = sub { die "outer\n" };
    my $outer = eval {
        local $SIG{ALRM} = sub { die "inner\n" };
        alarm 0.1;
        eval { wait_for($long) };
        my $said = $@;
        alarm 0.1;
        $said;
    };
    eval { wait_for($long) };
    is "$outer$@", "inner\nouter\n",
        'nested time limits each end their own call';
}

my @include = map { "-I$_" } qw(lib t/lib blib/lib blib/arch);
my ($status, $output) = run_perl(@include, '-e', <<'PERL');
use v5.36;
use PVE::Storage::TrueNAS::Native;
END { print 'unwound ', PVE::Storage::TrueNAS::Native::selftest('unwound', ''), "\n" }
$SIG{ALRM} = sub { exit 7 };
alarm 1;
PVE::Storage::TrueNAS::Native::selftest('wait', 10);
print "not reached\n";
PERL
is $status, 7, 'a handler that exits gives its status';
is $output, "unwound 1\n", 'after END blocks, and after the call has let go';

($status) = run_perl(@include, '-e', <<'PERL');
use v5.36;
use PVE::Storage::TrueNAS::Native;
alarm 1;
PVE::Storage::TrueNAS::Native::selftest('wait', 10);
PERL
is $status, POSIX::SIGALRM(),
    'without a handler the signal does what it always does';

done_testing;
