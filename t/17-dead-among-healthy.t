use v5.36;

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use TestNode qw(node_folder let_memories_age);
use TestRelay;
use TestSim;
use PVE::Storage;

# As pvestatd does, again and again in one process: two storages of a NAS that dies, then nine of others. What the first two
# take is what the others wait.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $sim = TestSim->start(listen => '0.0.0.0:0', 'limiter-window' => 1);

# To TrueNAS and to the plugin each address is a NAS of its own.
my %healthy = map {
    ("well$_" => $sim->section(api_host => "127.0.0.$_", discovery_portal => "127.0.0.$_:$sim->{port}"))
} 2 .. 10;
my $last_host = 20;

# Of 3 s that somebody waits, and of those that nobody does.
my ($ONE_WAIT, $NO_WAIT) = (5, 1.5);

sub nas_behind_a_relay ($mode) {
    my $host = '127.0.0.' . $last_host++;
    my $relay = TestRelay->start(host => $host, to => $sim->{port}, mode => $mode);
    my $section = $sim->section(
        api_host => $host,
        api_port => $relay->{port},
        discovery_portal => "$host:$relay->{port}"
    );
    return ($relay, $section);
}

# PVE::Storage's part is this one and no more; what dies leaves the storage inactive.
sub is_active ($storeid, $section) {
    return eval {
        die "storage '$storeid' is not online\n" if !$class->check_connection($storeid, $section);
        $class->activate_storage($storeid, $section, {});
        my (undef, undef, undef, $active) = $class->status($storeid, $section, {});
        $active;
    };
}

sub round_of ($section) {

    # A check is remembered for some seconds of each storage: other names stand for the time between two rounds.
    my @storeids = storeids();
    my $started = time;
    my @active = grep { is_active($_, $section) } @storeids;
    my $seconds = time - $started;
    my @well = grep { is_active($_, $healthy{$_}) } sort keys %healthy;
    return ($seconds, scalar @active, scalar @well);
}

my $name = 'aa';

sub storeids () {
    return map { $name++ } 1 .. 2;
}

# What is expected of a round: how many are active, and what bounds its time.
sub rounds ($section) {
    return sub ($what, $expected_active, $bound) {
        my ($seconds, $active, $well) = round_of($section);
        is $active, $expected_active, "$what: $expected_active of the NAS are active";
        is $well, 9, 'and all of the others';
        cmp_ok $seconds, '<', $bound, 'which waited for that no longer than they may';
        return;
    };
}

subtest 'the packets of a NAS that was there are dropped' => sub {
    my ($relay, $section) = nas_behind_a_relay('pass');
    my $round = rounds($section);
    $round->('before', 2, $ONE_WAIT);
    $relay->mode('deaf');
    $round->('the first round', 0, $ONE_WAIT);
    $round->('the next', 0, $NO_WAIT);
    $round->('one more', 0, $NO_WAIT);
    for (1 .. 5) {
        let_memories_age(16);
        $round->('when its memory has run out', 0, $NO_WAIT);
    }
    let_memories_age(61);
    $round->('after a minute', 0, $NO_WAIT);
    $relay->mode('pass');
    let_memories_age(61);
    $round->('when it is back', 2, $ONE_WAIT);
};

subtest 'a NAS that takes connections and says nothing' => sub {
    my ($relay, $section) = nas_behind_a_relay('mute');
    my $round = rounds($section);
    $round->('the first round', 0, $ONE_WAIT);
    $round->('the next', 0, $NO_WAIT);
    for (1 .. 2) {
        let_memories_age(16);
        $round->('a while later', 0, $NO_WAIT);
    }
    my $before = $relay->taken();
    let_memories_age(61);
    $round->('after a minute', 0, $ONE_WAIT);
    cmp_ok $relay->taken(), '>', $before, 'it was tried again';
    $round->('the next', 0, $NO_WAIT);
    $relay->mode('pass');
    let_memories_age(16);
    ok eval { $class->list_images('gone', $section); 1 }, 'a command is not kept from trying' or diag $@;
    $round->('then', 2, $ONE_WAIT);
};

subtest 'a NAS whose answers take longer than anybody waits' => sub {
    my ($relay, $section) = nas_behind_a_relay('deaf');
    my $round = rounds($section);
    $round->('the first round', 0, $ONE_WAIT);
    let_memories_age(16);
    $round->('the attempt is left under way', 0, $NO_WAIT);
    $relay->mode('pass');

    # The kernel repeats its packet after a second. The memory of the NAS is fresh: nobody begins another attempt.
    my $taken = $relay->taken();
    my $end = time + 10;
    sleep 0.1 until $relay->taken() >= $taken + 2 || time > $end;
    my $pid = fork // die "fork: $!";
    POSIX::_exit(is_active('gone', $section) ? 1 : 0) if !$pid;
    waitpid $pid, 0;
    is $?, 0, 'which is not the affair of a child';
    $round->('the next round finds it answered', 2, $ONE_WAIT);
};

subtest 'another process tries it again' => sub {
    my ($relay, $section) = nas_behind_a_relay('deaf');
    my $round = rounds($section);
    $round->('the first round', 0, $ONE_WAIT);
    let_memories_age(16);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        eval { $class->list_images('gone', $section) };
        POSIX::_exit(0);
    }
    my $file = node_folder() . "/run/pve-storage-truenas/host/$section->{api_host}.down";
    my $end = time + 10;
    sleep 0.02 until `grep -cs again $file` > 0 || time > $end;
    ok !eval { $class->status('gone', $section, {}); 1 }, 'while it waits, a status does not';
    like $@, qr/being tried again/, 'and says why';
    $round->('nor does a round', 0, $NO_WAIT);
    kill KILL => $pid;
    waitpid $pid, 0;
};

subtest 'what is remembered is a cache' => sub {
    my ($relay, $section) = nas_behind_a_relay('pass');
    my $round = rounds($section);
    my $folder = node_folder() . '/run/pve-storage-truenas/host';
    my %junk = (
        'nothing' => '',
        'half of it' => "1234",
        'a later version' => "v9 {}\nx\n",
        'the future' => "99999999999999 $relay->{port}\nx\n",
    );
    for my $what (sort keys %junk) {
        for my $name ("$section->{api_host}.down", "$section->{api_host}.silent") {
            open my $file, '>', "$folder/$name" or die "$name: $!";
            print {$file} $junk{$what};
            close $file or die "$name: $!";
        }
        $round->($what, 2, $ONE_WAIT);
    }
};

done_testing;
