package PVE::Storage::TrueNAS::Schema;

use v5.36;

our $VERSION = '3.0.0';

# Nothing here is stricter than what 1.x and 2.x accepted, and no value is judged by the schema: a line of storage.cfg
# that fails a check is dropped, and gone for good at the next write of the file. The core judges values when a storage
# is added or used.

my %ENUM = (tn_volume_names => [qw(transport plain)]);

# One row per key: name, type, since which version, transport, default, what it does. Then, by name:
#   effective   what holds without the key, where that is not simply the default
#   secret      kept in /etc/pve/priv/storage, never in storage.cfg
#   ignored     why the key is accepted and has no effect
#   planned     accepted, takes effect in a later release
# A key of 1.x is also known by its 2.x name, which has the prefix tn_.
my @GROUPS = (
    [
        'Connection to the API' => [
            ['api_host', 'string', '1.0', 'both', undef, 'Host name or address of the TrueNAS. Needed.'],
            [
                'api_port', 'integer', '1.0', 'both', undef, 'TCP port of the API.',
                effective => '443 (80 without TLS)'
            ],
            [
                'api_key', 'string', '1.0', 'both', undef,
                'API key of a TrueNAS user. Needed.',
                secret => 1,
            ],
            [
                'tn_api_user', 'string', '3.0', 'both', undef,
                'Name of the user whom the API key belongs to. TrueNAS 27 cannot log in without it.',
                effective => 'asked from the TrueNAS at the first login',
            ],
            [
                'api_scheme', 'string', '1.0', 'both', undef,
                'wss (or https) for TLS; ws (or http) only for a TrueNAS on a loopback address, because a key that'
                    . ' TrueNAS sees on an insecure transport is revoked.',
                effective => 'wss',
            ],
            [
                'api_insecure', 'boolean', '1.0', 'both', 0,
                'Accept any certificate. Whoever can answer for the address then gets the API key:'
                    . ' prefer tn_tls_fingerprint.',
            ],
            [
                'tn_tls_ca_file', 'string', '3.0', 'both', undef,
                'File with the certificates (PEM) of the authorities to trust, on every node.',
                effective => 'the authorities that the node trusts',
            ],
            [
                'tn_tls_fingerprint', 'string', '3.0', 'both', undef,
                'SHA-256 fingerprints of accepted certificates, separated by commas. More than one, because TrueNAS'
                    . ' renews its certificate with a new key.',
            ],
            ['prefer_ipv4', 'boolean', '1.0', 'both', 1, 'Try the IPv4 addresses of api_host first.'],
            [
                'api_transport', 'string', '1.0', 'both', undef,
                'ws for the WebSocket API, rest for releases that still have the REST API.',
                effective => 'ws',
                planned => 1,
            ],
            [
                'api_retry_max', 'integer', '1.0', 'both', undef, 'Attempts per API call, 0 to 10.',
                ignored =>
                    'reads are repeated once, changes never blindly, both within the time of the operation',
            ],
            [
                'api_retry_delay', 'number', '1.0', 'both', undef,
                'Pause between attempts in seconds, 0.1 to 60.',
                ignored => 'see api_retry_max',
            ],
            [
                'tn_broker_timeout', 'integer', '2.1', 'both', undef,
                'Time for an answer of the broker in seconds.',
                ignored => 'there is no broker',
            ],
            [
                'tn_api_budget_s', 'number', '2.1', 'both', undef,
                'Time for the API calls of an operation in seconds.',
                ignored => 'every operation has its own limit',
            ],
            [
                'tn_status_probe_backoff_s', 'number', '2.1', 'both', undef,
                'Pause between probes of a TrueNAS that does not answer, in seconds.',
                ignored => 'a TrueNAS that does not answer is remembered for 15 seconds',
            ],
        ],
    ],
    [
        'Volumes' => [
            [
                'dataset', 'string', '1.0', 'both', undef,
                'Parent filesystem of all volumes, as tank/proxmox. Needed.'
            ],
            [
                'zvol_blocksize', 'string', '1.0', 'both', undef,
                'Block size of new volumes: 512, 1K, 2K, 4K, 8K, 16K, 32K, 64K or 128K. Sizes are rounded up to it.',
                effective => 'what the TrueNAS chooses, 16K on most pools',
            ],
            [
                'tn_exact_size', 'boolean', '3.0', 'both', 0,
                'Use a smaller block size for a volume rather than round its size up; moving a disk of an odd size'
                    . ' while its guest runs needs equal sizes.',
            ],
            ['tn_sparse', 'boolean', '1.0', 'both', 1, 'Thin volumes; 0 reserves the whole size.'],
            [
                'tn_space_overhead', 'number', '3.0', 'both', 1.2,
                'A thick volume needs its size times this, 1 or more, for the metadata of ZFS.',
            ],
            [
                'tn_overcommit', 'number', '3.0', 'both', undef,
                'Thin volumes together may be this many times as large as the space of the storage, 1 or more.',
                effective => 'no limit',
            ],
            [
                'tn_thin_warning', 'integer', '3.0', 'both', 70,
                'Where volumes may grow by more than is free, warn from this percentage of used space on.',
            ],
            [
                'tn_thin_critical', 'integer', '3.0', 'both', 85,
                'As tn_thin_warning, for the more urgent warning.',
            ],
            [
                'tn_volume_names', 'string', '3.0', 'both', 'transport',
                'How new volumes are named: transport (vol-vm-100-disk-0-lun3) or plain (vm-100-disk-0).'
                    . ' Both forms are always understood.',
            ],
            [
                'tn_compression', 'string', '2.1', 'both', undef, 'Compression of new volumes.',
                effective => 'inherited from the dataset',
                planned => 1,
            ],
            [
                'datasets', 'string', '3.0', 'both', undef,
                'More parent filesystems for new volumes, separated by commas.',
                planned => 1,
            ],
            [
                'allocation_strategy', 'string', '3.0', 'both', undef,
                'Which of several parent filesystems gets a new volume.',
                planned => 1,
            ],
            [
                'force_delete_on_inuse', 'boolean', '1.0', 'both', undef,
                'Log out and try again when the TrueNAS reports a volume as in use.',
                ignored => 'a volume that something uses is never deleted; the error names the user',
            ],
            [
                'enable_bulk_operations', 'boolean', '1.0', 'both', undef, 'Delete snapshots in batches.',
                ignored => 'calls that do not depend on each other are always sent together',
            ],
        ],
    ],
    [
        'Transport' => [
            ['transport_mode', 'string', '1.0', 'both', 'iscsi', 'iscsi or nvme-tcp.'],
            [
                'discovery_portal', 'string', '1.0', 'both', undef,
                'Address of the first data portal, host:port. Needed.',
                effective => 'port 3260 (iSCSI), 4420 (NVMe/TCP)',
            ],
            ['portals', 'string', '1.0', 'both', undef, 'More portals, host:port, separated by commas.'],
            [
                'use_multipath', 'boolean', '1.0', 'iscsi', 0,
                'Make a multipath map of the paths. A map that is there already is used in any case.',
            ],
            [
                'use_by_path', 'boolean', '1.0', 'iscsi', undef, 'Use links in /dev/disk/by-path.',
                ignored => 'the path of a volume is /dev/truenas/STORAGE/VOLUME',
            ],
            [
                'ipv6_by_path', 'boolean', '1.0', 'iscsi', undef, 'As use_by_path.',
                ignored => 'see use_by_path'
            ],
            [
                'logout_on_free', 'boolean', '1.0', 'iscsi', undef,
                'Log out after the last volume was deleted.',
                ignored => 'a session carries the volumes of other guests',
            ],
            [
                'tn_device_ready_retries', 'integer', '2.1', 'both', undef,
                'How often to look for a new device, every 100 ms.',
                ignored => 'the node is told when a device appears',
            ],
        ],
    ],
    [
        'iSCSI' => [
            [
                'target_iqn', 'string', '1.0', 'iscsi', undef,
                'Full IQN of the target, as iqn.2005-10.org.freenas.ctl:proxmox. Needed for iSCSI.',
            ],
            ['chap_user', 'string', '1.0', 'iscsi', undef, 'CHAP user of the sessions.'],
            [
                'chap_password', 'string', '1.0', 'iscsi', undef,
                'CHAP secret of the sessions, 12 to 16 characters.',
                secret => 1,
            ],
            [
                'tn_chap_peer_user', 'string', '3.0', 'iscsi', undef,
                'User with which the target proves itself to the node (mutual CHAP).',
            ],
            [
                'tn_chap_peer_password', 'string', '3.0', 'iscsi', undef,
                'Secret with which the target proves itself to the node.',
                secret => 1,
            ],
        ],
    ],
    [
        'NVMe/TCP' => [
            [
                'subsystem_nqn', 'string', '1.0', 'nvme-tcp', undef,
                'NQN of the subsystem. Needed for NVMe/TCP.',
            ],
            [
                'hostnqn', 'string', '1.0', 'nvme-tcp', undef,
                'NQN by which the node is known to the TrueNAS.',
                effective => 'the content of /etc/nvme/hostnqn',
            ],
            [
                'nvme_dhchap_secret', 'string', '1.0', 'nvme-tcp', undef, 'DH-HMAC-CHAP key of the node.',
                secret => 1,
            ],
            [
                'nvme_dhchap_ctrl_secret', 'string', '1.0', 'nvme-tcp', undef,
                'DH-HMAC-CHAP key of the TrueNAS.',
                secret => 1,
            ],
            [
                'tn_nvme_allow_any_host', 'boolean', '2.1', 'nvme-tcp', 0,
                'A subsystem that is made by the plugin accepts every host.',
            ],
            [
                'tn_nr_io_queues', 'integer', '2.1', 'nvme-tcp', undef, 'Number of I/O queues, 1 to 256.',
                effective => 'one per CPU',
            ],
            [
                'tn_nvme_ctrl_loss_tmo', 'integer', '2.1', 'nvme-tcp', undef,
                'Seconds until a lost controller is given up, -1 for never.',
                effective => 'the default of the kernel',
            ],
            [
                'tn_nvme_reconnect_delay', 'integer', '2.1', 'nvme-tcp', undef,
                'Seconds between attempts to reconnect.',
                effective => 'the default of the kernel',
            ],
            [
                'tn_nvme_keep_alive_tmo', 'integer', '2.1', 'nvme-tcp', undef, 'Seconds between keep-alives.',
                effective => 'the default of the kernel',
            ],
        ],
    ],
    [
        'Snapshots' => [
            [
                'snapshot_retention_days', 'integer', '3.0', 'both', undef,
                'Snapshots that are younger than so many days are not pruned. Without a rule none is.'
                    . ' See pvetruenas-snapshots-prune(8).',
            ],
            [
                'snapshot_max_count', 'integer', '3.0', 'both', undef,
                'The newest so many snapshots of a volume are not pruned.',
            ],
            [
                'tn_snapshot_keep', 'string', '3.0', 'both', undef,
                'Of each of the last so many hours, days, weeks, months and years that have one, the newest snapshot is not pruned,'
                    . ' as hourly=24,daily=7,weekly=4,monthly=12,yearly=3.',
            ],
            [
                'snapshot_auto_cleanup', 'boolean', '3.0', 'both', 0,
                'Prune snapshots by these rules without being asked. Those that a guest has in its configuration stay.',
            ],
            [
                'snapshot_cleanup_schedule', 'string', '3.0', 'both', undef,
                'When to prune them: a calendar event of systemd, as Sun 03:00.',
                effective => 'daily',
            ],
            [
                'enable_live_snapshots', 'boolean', '1.0', 'both', undef, 'Snapshots of running guests.',
                ignored => 'always possible',
            ],
            [
                'snapshot_volume_chains', 'boolean', '1.0', 'both', undef, 'Snapshots as chains of volumes.',
                ignored => 'snapshots are those of ZFS',
            ],
            [
                'vmstate_storage', 'string', '1.0', 'both', undef, 'Where the memory of a guest is saved.',
                ignored => 'Proxmox VE has its own option vmstatestorage',
            ],
        ],
    ],
    [
        'Diagnosis' => [
            [
                'debug', 'integer', '1.0', 'both', 0,
                'What is written to the journal: 0 little, 1 each step, 2 each call.',
            ],
            [
                'tn_storage_lock_timeout', 'integer', '2.1', 'both', undef,
                'Seconds to wait for the lock of the storage.',
                ignored => 'the lock is that of Proxmox VE',
            ],
            [
                'tn_use_cluster_lock', 'boolean', '2.1', 'both', undef, 'Use the lock of the cluster.',
                ignored => 'it is always used',
            ],
        ],
    ],
);

# Each group as [title, rows as hashes].
sub groups () {
    return map {
        [$_->[0], [map { _row(@$_) } $_->[1]->@*]]
    } @GROUPS;
}

sub _row ($name, $type, $since, $transport, $default, $text, %more) {
    my @spellings = ($name);
    push @spellings, "tn_$name" if $since lt '2' && $name !~ /^tn_/;
    return {
        name => $name,
        spellings => \@spellings,
        type => $type,
        since => $since,
        transport => $transport,
        default => $default,
        text => $text,
        %more,
    };
}

my @ROWS = map { $_->[1]->@* } groups();

sub names () {
    return map { $_->{spellings}->@* } @ROWS;
}

sub secrets () {
    return map { $_->{spellings}->@* } grep { $_->{secret} } @ROWS;
}

# What SectionConfig wants to know of every key.
sub properties () {
    my %properties;
    for my $row (@ROWS) {
        for my $spelling ($row->{spellings}->@*) {
            my $text = $row->{text};
            $text .= " Accepted and ignored: $row->{ignored}." if $row->{ignored};
            $properties{$spelling} = {
                description => $text,
                type => $row->{type},
                optional => 1,
                defined $row->{default} ? (default => $row->{default}) : (),
                $ENUM{$spelling} ? (enum => $ENUM{$spelling}) : (),
            };
        }
    }
    return \%properties;
}

# The value of a key in either spelling; that of 2.x wins.
sub value ($scfg, $name) {
    return $scfg->{"tn_$name"} // $scfg->{$name};
}

1;

__END__

=head1 NAME

PVE::Storage::TrueNAS::Schema - every key of a truenasplugin section in storage.cfg

=head1 DESCRIPTION

One table, from which the plugin takes its properties, options and secrets, and C<tools/schema-docs> the reference page
and the manual page.

=head1 LICENSE

AGPL-3.0-or-later

=cut
