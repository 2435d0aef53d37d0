use v5.36;

use Test::More;
use Time::HiRes qw(sleep time);

use lib 't/lib';
use TestNode qw(node_folder write_cfg);
use TestNodeSession;
use TestRelay;
use TestSim;
use PVE::Storage;

# What the node session makes of a NAS that falls silent: processes do not have to find out, neither that it is gone nor that
# it is back.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $last_host = 40;

# Without the session a status tries a silent NAS again after a minute.
my ($ONE_WAIT, $NO_WAIT, $SOON) = (5, 1.5, 25);

# Storages of one NAS behind a relay: other names stand for the time between two rounds, in which a check is remembered.
sub nas_behind_a_relay ($sim) {
    my $host = '127.0.0.' . $last_host++;
    my $relay = TestRelay->start(host => $host, to => $sim->{port});
    my $section = $sim->section(
        api_host => $host,
        api_port => $relay->{port},
        discovery_portal => "$host:$relay->{port}",
    );
    my $keys = join '', map { "\t$_ $section->{$_}\n" } grep { $_ ne 'type' } sort keys %$section;
    write_cfg(join '', map { "truenasplugin: s$_\n$keys\n" } 1 .. 200);
    return ($relay, $section);
}

my $number = 1;

sub is_active ($section) {
    my $storeid = 's' . $number++;
    my $started = time;
    my $active = eval {
        die "storage '$storeid' is not online\n" if !$class->check_connection($storeid, $section);
        $class->activate_storage($storeid, $section, {});
        (undef, undef, undef, my $active) = $class->status($storeid, $section, {});
        $active;
    };
    return ($active ? 1 : 0, time - $started);
}

sub is_active_soon ($section) {
    my $end = time + $SOON;
    while (time < $end) {
        my ($active) = is_active($section);
        return 1 if $active;
        sleep 0.5;
    }
    return 0;
}

sub round_is ($section, $expected, $bound, $what) {
    my ($active, $seconds) = is_active($section);
    is $active, $expected, $what;
    cmp_ok $seconds, '<', $bound, 'and nobody waits longer than it may';
    return;
}

subtest 'a connection on which nothing comes any more' => sub {
    my $sim = TestSim->start(listen => '0.0.0.0:0', 'limiter-window' => 1);
    my ($relay, $section) = nas_behind_a_relay($sim);
    my $session = TestNodeSession->start();
    round_is($section, 1, $ONE_WAIT, 'active');
    $relay->mode('mute');
    round_is($section, 0, $ONE_WAIT, 'the first round waits for it');
    round_is($section, 0, $NO_WAIT, 'the next does not');
    $relay->mode('pass');
    ok is_active_soon($section), 'the session hears it before the others would try again';
    is $sim->logins(), 1, 'over the same login';
};

subtest 'a NAS that goes and comes back' => sub {
    my $sim = TestSim->start(listen => '0.0.0.0:0', 'limiter-window' => 1);
    my ($relay, $section) = nas_behind_a_relay($sim);
    my $session = TestNodeSession->start();
    round_is($section, 1, $ONE_WAIT, 'active');
    $relay->stop();
    round_is($section, 0, $ONE_WAIT, 'gone');
    round_is($section, 0, $NO_WAIT, 'and still gone');
    my $file = node_folder() . "/run/pve-storage-truenas/host/$section->{api_host}.down";
    my $since = sub { open my $in, '<', $file or return 0; (<$in> // 0) =~ /^(\d+)/ ? $1 : 0 };
    my ($first, $end) = ($since->(), time + $SOON);
    sleep 0.5 until $since->() > $first || time > $end;
    cmp_ok $since->() - $first, '<', 15_000, 'the session looks again before it is forgotten that it is gone';
    cmp_ok $since->(), '>', $first, 'while nobody asks';
};

done_testing;
