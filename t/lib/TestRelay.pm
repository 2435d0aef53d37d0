package TestRelay;

# What stands between the node and a NAS, and can fall silent in different ways. A process of its own:
#   pass     hands on what comes, both ways
#   deaf     drops every packet of new connections; the others get nothing any more
#   mute     takes connections, and hands on nothing
#   trickle  hands on one byte of the answers a second

use v5.36;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);
use Time::HiRes qw(time);

use TestNode qw(untaint);

# Options: host, to (port of the NAS), mode.
sub start ($class, %options) {
    my $host = $options{host} // '127.0.0.1';

    # One more than the queue holds fills it: from then on the kernel drops every SYN.
    my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => $host) or die "no port on $host: $!";
    socketpair my $mine, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    my $self = bless { host => $host, port => untaint($listener->sockport()), control => $mine, owner => $$ },
        $class;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $mine;
        my $served = eval { _serve($self, $listener, $its, $options{to}); 1 };
        print {*STDERR} "relay: $@" if !$served;
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    close $its;
    $self->mode($options{mode} // 'pass');
    return $self;
}

# Returns when it is so.
sub mode ($self, $mode) {
    return $self->_ask($mode);
}

# How many connections it took.
sub taken ($self) {
    return $self->_ask('count');
}

sub _ask ($self, $word) {
    syswrite $self->{control}, "$word\n";
    sysread $self->{control}, my $answer, 100 or die "the relay ended\n";
    return untaint($answer =~ s/\n//r);
}

sub stop ($self) {
    my $pid = delete $self->{pid} // return;
    kill KILL => $pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY ($self) {
    local ($?, $!, $@) = ($?, $!, $@);
    $self->stop() if $self->{owner} == $$;
    return;
}

sub _serve ($self, $listener, $control, $to) {
    my ($mode, $count, @fillers, @pairs) = ('pass', 0);
    while (1) {
        my $readable = IO::Select->new($control);
        $readable->add($listener) if $mode ne 'deaf';
        $readable->add(grep { defined } map { _sources($mode, $_) } @pairs);
        for my $ready ($readable->can_read(0.1)) {
            if ($ready == $control) {
                sysread $control, my $word, 100 or return;
                chomp $word;
                if ($word ne 'count') {
                    @fillers = $word eq 'deaf' ? _fill($self) : ();
                    $mode = $word;
                }
                syswrite $control, "$count\n";
            } elsif ($ready == $listener) {
                my $client = $listener->accept() or next;
                $count++;
                my $server = $to ? IO::Socket::INET->new(PeerAddr => "127.0.0.1:$to") : undef;
                push @pairs, { client => $client, server => $server, next => 0 };
            } else {

                # Both of its ends may have come at once.
                my ($pair) = grep { $_->{client} == $ready || ($_->{server} // 0) == $ready } @pairs;
                next if !$pair || _hand_on($mode, $pair, $ready);
                @pairs = grep { $_ != $pair } @pairs;
            }
        }
    }
    return;
}

# What may be read from now.
sub _sources ($mode, $pair) {
    return () if $mode eq 'deaf' || $mode eq 'mute';
    return $pair->{client} if $mode eq 'trickle' && time < $pair->{next};
    return ($pair->{client}, $pair->{server});
}

sub _hand_on ($mode, $pair, $from) {
    my $answer = $from != $pair->{client};
    my $slow = $answer && $mode eq 'trickle';
    sysread $from, my $data, $slow ? 1 : 65536 or return 0;
    $pair->{next} = time + 1 if $slow;
    my $to = $answer ? $pair->{client} : $pair->{server};
    return 1 if !$to;
    return syswrite $to, $data;
}

# Connections that nobody takes, until one is not answered.
sub _fill ($self) {
    my @fillers;
    for (1 .. 8) {
        my $filler = IO::Socket::INET->new(
            PeerAddr => "$self->{host}:$self->{port}",
            Blocking => 0
        ) or last;
        push @fillers, $filler;
        last if !IO::Select->new($filler)->can_write(0.2);
    }
    return @fillers;
}

1;
