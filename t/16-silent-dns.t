use v5.36;

use Config;
use File::Temp qw(tempfile);
use Test::More;

# In a mount namespace of its own, which ends with this process, the node's DNS server is one that never answers.
my ($server) = map { sprintf '127.53.%d.%d', $_ / 250 % 250 + 1, $_ % 250 + 1 } $$;

sub file_with ($text) {
    my ($handle, $name) = tempfile('truenas-test-XXXXXX', TMPDIR => 1);
    print {$handle} $text;
    close $handle or die "$name: $!";
    return $name =~ /^(.*)$/s ? $1 : die;
}

BEGIN {
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV PERL5LIB PERL5OPT)};
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
}

if (!@ARGV) {
    plan skip_all => 'only root can give itself a DNS server'
        if $> != 0 || system('unshare', '-m', 'true') != 0;
    my $script =
        'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && rm "$1" "$2" && shift 2 && exec "$@"';
    my @include = map { "-I$_" } qw(blib/lib blib/arch t/lib);
    my ($perl) = $^X =~ /^(.*)$/s;
    my ($self) = __FILE__ =~ /^(.*)$/s;
    exec 'unshare', '-m', 'sh', '-c', $script, 'sh',
        file_with("nameserver $server\noptions timeout:30 attempts:5\n"), file_with("hosts: files dns\n"),
        $perl, '-T', @include, $self, $server
        or die "unshare: $!";
}
($server) = $ARGV[0] =~ /^([\d.]+)$/;

require IO::Socket::INET;
require POSIX;
require Time::HiRes;
require TestNode;
require TestSim;
require PVE::Storage;
TestNode->import(qw(node_folder let_memories_age));

my $class = 'PVE::Storage::Custom::TrueNASPlugin';
my $dns = IO::Socket::INET->new(LocalAddr => $server, LocalPort => 53, Proto => 'udp')
    or plan skip_all => "no port 53 on $server: $!";
my $sim = TestSim->start();
my %by_name = (api_host => 'nas.example', discovery_portal => 'nas.example:3260');
my $section = $sim->section(%by_name);

sub timed ($code) {
    my $started = Time::HiRes::time();
    my $said = eval { $code->(); 1 } ? 'done' : $@;
    return (Time::HiRes::time() - $started, $said);
}

# The three that pvestatd calls, whatever came of the one before.
sub round_of ($storeid, $given = $section) {
    return timed(
        sub {
            my $online = $class->check_connection($storeid, $given);
            my $active = eval { $class->activate_storage($storeid, $given, {}); 1 };
            $class->status($storeid, $given, {});
            die "not online\n" if !$online || !$active;
        }
    );
}

sub at_the_same_time ($code) {
    my $pid = open my $output, '-|' // die "fork: $!";
    return $output if $pid;
    my ($seconds, $said) = $code->();
    print "$seconds $said";
    STDOUT->flush();
    POSIX::_exit(0);
}

# The look-up itself would take 150 s, so that nothing ends but by its deadline. Those of a list and an allocation are long.
sub meanwhile ($name, $code) {
    return at_the_same_time(
        sub {
            $ENV{PVETRUENAS_NODE} = node_folder() . "/$name";
            timed($code);
        }
    );
}

my %operations = (
    list => [28, meanwhile(list => sub { $class->list_images('nas1', $section) })],
    alloc => [55, meanwhile(alloc => sub { $class->alloc_image('nas1', $section, 100, 'raw', undef, 1024) })],
);
my ($seconds, $said) = timed(
    sub {
        local $SIG{ALRM} = sub { die "got timeout\n" };
        alarm 1;
        $class->list_images('nas1', $section);
    }
);
is $said, "got timeout\n", 'an alarm ends the look-up of a name';
cmp_ok $seconds, '<', 4, 'at once';

# Each second is one in which the other storages of the node wait.
($seconds, $said) = round_of('nas1');
like $said, qr/no answer while resolving host name 'nas\.example'/, 'a name that is not resolved: no figures';
cmp_ok $seconds, '<', 5, 'within the time of a round';
for my $storeid (qw(nas1 nas2 nas1)) {
    ($seconds, $said) = round_of($storeid);
    cmp_ok $seconds, '<', 1.5, "the next round, of $storeid, does not wait for it";
    like $said, qr/resolving host name 'nas\.example' \(\d+ s ago/, 'and says why';
}
let_memories_age(20);
($seconds) = round_of('nas1');
cmp_ok $seconds, '<', 1.5, 'nor does one a while later';

let_memories_age(61);
my $first = at_the_same_time(sub { round_of('nas1') });
my $file = node_folder() . '/run/pve-storage-truenas/host/nas.example.down';
my $end = Time::HiRes::time() + 10;
Time::HiRes::sleep(0.05) until `grep -cs again $file` > 0 || Time::HiRes::time() > $end;
($seconds, $said) = round_of('nas2');
like $said, qr/being tried again/, 'who finds that a minute has passed tries again';
cmp_ok $seconds, '<', 1.5, 'and the others do not wait with it';
($seconds) = <$first> =~ /^([\d.]+)/;
cmp_ok $seconds, '<', 5, 'which takes the time of a round';

for my $operation (sort keys %operations) {
    my ($bound, $output) = $operations{$operation}->@*;
    ($seconds, $said) = (join '', <$output>) =~ /^([\d.]+) (.*)/s;
    like $said, qr/^$operation.* on storage 'nas1': .*no answer while resolving host name/s,
        "$operation says the same";
    cmp_ok $seconds, '<', $bound, 'within its own time';
}

# Takes questions for an address and has one answer; there is none of the other family.
sub answer_questions () {
    while ($dns->recv(my $question, 512)) {
        my $is_a = unpack('n', substr $question, -4 - ($question =~ /\0\0\x29/ ? 11 : 0)) == 1;
        my $asked = substr $question, 12, index($question, "\0", 12) - 12 + 5;
        my $answer = $is_a ? pack 'n n n N n C4', 0xc00c, 1, 1, 60, 4, 127, 0, 0, 1 : '';
        $dns->send(substr($question, 0, 2) . pack('n5', 0x8180, 1, $is_a ? 1 : 0, 0, 0) . $asked . $answer);
    }
    return;
}

my $pid = fork // die "fork: $!";
if (!$pid) {
    answer_questions();
    POSIX::_exit(0);
}
let_memories_age(61);
($seconds, $said) = round_of('nas1');
is $said, 'done', 'the storage is back when the DNS is' or diag $said;
ok !-e $file, 'and nothing is remembered any more';
kill KILL => $pid;
waitpid $pid, 0;

done_testing;
