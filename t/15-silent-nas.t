use v5.36;

use File::Path qw(make_path);
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use lib 't/lib';
use TestNode qw(node_folder section untaint);
use TestRelay;
use TestSim;
use PVE::Storage;

# Ways to fall silent, and what the plugin makes of each. What is waited for never comes: that something ended in time shows
# that its own deadline ended it. All of them wait at the same time, each as a process on a node of its own.
my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $faults = node_folder() . '/faults.json';
open my $file, '>', $faults or die "$faults: $!";
print {$file} '[', join(
    ',',
    map { qq({"method":"auth.login_with_api_key","nth":$_,"when":"before","do":"hang"}) } 1 .. 40
    ),
    ']';
close $file or die "$faults: $!";
my $sim = TestSim->start('limiter-window' => 1);
my $without_login = TestSim->start('limiter-window' => 1, faults => $faults);

# Both the API and the data portal are behind it.
sub behind ($relay, %given) {
    return $sim->section(
        api_port => $relay->{port},
        discovery_portal => "127.0.0.1:$relay->{port}",
        %given
    );
}

sub falls_silent ($mode) {
    my $relay = TestRelay->start(to => $sim->{port});
    my $section = behind($relay);
    $class->list_images('nas1', $section);
    $relay->mode($mode);
    return ($section, $relay);
}

sub from_the_start ($mode, %given) {
    my $relay = TestRelay->start(mode => $mode);
    return (behind($relay, %given), $relay);
}

my %ways = (
    'every packet is dropped' => sub { from_the_start('deaf') },
    'the TLS handshake has no answer' => sub { from_the_start('mute') },
    'the WebSocket is not opened' => sub { from_the_start('mute', api_scheme => 'ws') },
    'the login has no answer' => sub { $without_login->section() },
    'a connection falls silent' => sub { falls_silent('deaf') },
    'a byte a second' => sub { falls_silent('trickle') },
);

sub timed ($code) {
    my $started = time;
    my $said = eval { $code->(); 1 } ? 'done' : $@ || 'false';
    return (time - $started, $said);
}

# A storage that is not online, or dies in status, is shown as inactive; the round of pvestatd goes on.
sub round_of ($section) {
    die "not online\n" if !$class->check_connection('nas1', $section);
    $class->activate_storage('nas1', $section, {});
    return $class->status('nas1', $section, {});
}

# PVE calls what comes after the first that failed only in other processes; here nothing may take more of the 3 s.
my %jobs = (
    round => sub ($section) {
        my ($seconds, $said) = timed(sub { round_of($section) });
        my ($activate) = timed(sub { $class->activate_storage('nas1', $section, {}) });
        my ($status) = timed(sub { $class->status('nas1', $section, {}) });
        return ($seconds + $activate + $status, $said);
    },
    list => sub ($section) {
        return timed(sub { $class->list_images('nas1', $section) });
    },
    alloc => sub ($section) {
        return timed(sub { $class->alloc_image('nas1', $section, 100, 'raw', undef, 1024) });
    },
    alarm => sub ($section) {
        return timed(
            sub {
                local $SIG{ALRM} = sub { die "got timeout\n" };
                alarm 1;
                $class->list_images('nas1', $section);
            }
        );
    },
);

# What ends each, and by when: its deadline, and what a busy machine adds.
my %ends = (
    round => [5, qr/^not online$|'nas1'.*: .*(?:no answer in time|not reachable)/s],
    list => [28, qr/^list on storage 'nas1': .*(?:no answer in time|not reachable)/s],
    alloc => [55, qr/^alloc.* on storage 'nas1': .*(?:no answer in time|not reachable)/s],
    alarm => [4, qr/^got timeout$/],
);

sub own_node ($name) {
    my $folder = node_folder() . '/' . $name =~ s/\W+/-/gr;
    make_path("$folder/run", "$folder/dev");
    $ENV{PVETRUENAS_NODE} = $folder;
    return;
}

my @running;

sub in_its_own_process ($way, $job, $code) {
    my $pid = open my $output, '-|' // die "fork: $!";
    if (!$pid) {
        my ($seconds, $said) = eval { $code->() };
        printf '%.1f %s', $seconds // 0, $said // "the test itself failed: $@";
        STDOUT->flush();
        POSIX::_exit(0);
    }
    push @running, { way => $way, job => $job, output => $output };
    return;
}

for my $way (sort keys %ways) {
    for my $job (sort keys %ends) {
        in_its_own_process(
            $way, $job,
            sub {
                own_node("$way $job");
                my ($section, $relay) = $ways{$way}->();
                return $jobs{$job}->($section);
            }
        );
    }
}

for my $running (@running) {
    my ($bound, $pattern) = $ends{ $running->{job} }->@*;
    my $output = $running->{output};
    local $/ = undef;
    my ($seconds, $said) = split / /, <$output>, 2;
    close $output;
    my $what = "$running->{way}: $running->{job}";
    like $said, $pattern, "$what ends with an error that says so";
    cmp_ok $seconds, '<', $bound, 'in its time';
    note "$what: $seconds s: $said";
}

done_testing;
