use v5.36;

use POSIX ();
use Test::More;

use lib 't/lib';
use TestNodeSession;
use TestNode;
use TestSim;
use PVE::Storage;

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $AT_ONCE = 100;
my $last_host = 60;

# To the node each is another NAS: what it remembers of one says nothing of the next.
sub start_sim (%options) {
    return TestSim->start(listen => '127.0.0.' . $last_host++ . ':0', %options);
}

# What each of the processes says, all of them begun at the same moment: what `work` returned, or its error.
sub at_once ($count, $work) {
    pipe my $gate, my $opener or die "pipe: $!";
    my @outputs = map { _begin($gate, $opener, $work) } 1 .. $count;
    close $opener;
    my @said = map { my $output = $_; local $/ = undef; <$output> } @outputs;
    close $_ for @outputs;
    return @said;
}

sub _begin ($gate, $opener, $work) {
    my $pid = open(my $output, '-|') // die "fork: $!";
    return $output if $pid;
    close $opener;
    sysread $gate, my $nothing, 1;
    print eval { $work->() } // "error: $@";
    STDOUT->flush();
    POSIX::_exit(0);
}

sub list ($section) {
    return sub { scalar $class->list_images('nas1', $section)->@* };
}

sub error_of_an_alarm ($section) {
    eval {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm 1;
        $class->list_images('nas1', $section);
    };
    my $error = $@;
    alarm 0;
    return $error;
}

subtest 'many processes at once share one login' => sub {
    my $sim = start_sim(preload => 20);
    my $config = $sim->configure('nas1');
    my $session = TestNodeSession->start();
    my @said = at_once($AT_ONCE, list($config->{ids}->{nas1}));
    is_deeply [grep { $_ ne '20' } @said], [], "$AT_ONCE lists, no failure";
    is $sim->logins(), 1, 'one login';
};

subtest 'an alarm ends a call that the session passes on' => sub {
    my $sim = start_sim(latency => 60_000);
    my $config = $sim->configure('nas1');
    my $session = TestNodeSession->start();
    my $error = error_of_an_alarm($config->{ids}->{nas1});
    is $error, "got timeout\n", 'as PVE wants it';
};

subtest 'an alarm ends a call to a session that does not answer' => sub {
    my $sim = start_sim(latency => 60_000);
    my $config = $sim->configure('nas1');
    my $session = TestNodeSession->start();
    $session->signal('STOP');
    my $error = error_of_an_alarm($config->{ids}->{nas1});
    $session->signal('CONT');
    is $error, "got timeout\n", 'as PVE wants it';
};

subtest 'a fork does not take over the connection of its parent' => sub {
    my $sim = start_sim(preload => 3);
    my $config = $sim->configure('nas1');
    my $session = TestNodeSession->start();
    my $list = list($config->{ids}->{nas1});
    is $list->(), 3, 'the parent has a connection';
    is_deeply [at_once(5, $list)], [(3) x 5], 'its children are served';
    is $list->(), 3, 'and the parent too';
    is $sim->logins(), 1, 'by one login';
};

subtest 'a session that ends and begins again' => sub {
    my $sim = start_sim(preload => 3);
    my $config = $sim->configure('nas1');
    my $list = list($config->{ids}->{nas1});
    my $session = TestNodeSession->start();
    is $list->(), 3, 'with it';
    $session->stop();
    is $list->(), 3, 'without it';
    $session = TestNodeSession->start();
    is_deeply [at_once(5, $list)], [(3) x 5], 'with it again';
    is $sim->logins(), 3, 'a login each time';
};

done_testing;
