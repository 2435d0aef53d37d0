use v5.36;

use Test::More;

use lib 't/lib';
use TestNode qw(root untaint);
use PVE::Storage::TrueNAS::Schema;

require_ok(root() . '/tools/schema-docs');

sub content ($name) {
    open my $file, '<', $name or return "$name: $!";
    local $/ = undef;
    return <$file>;
}

is content('wiki/Configuration-keys.md'), SchemaDocs::wiki(),
    'the wiki page agrees with the table';
is content('man/truenasplugin.5'), SchemaDocs::man(),
    'the manual page agrees with the table';

my $properties = PVE::Storage::TrueNAS::Schema::properties();

my @of_1_1_7 = qw(
    api_transport api_host api_key api_scheme api_port api_insecure prefer_ipv4 dataset zvol_blocksize transport_mode
    target_iqn discovery_portal portals use_multipath force_delete_on_inuse logout_on_free use_by_path ipv6_by_path
    debug chap_user chap_password subsystem_nqn hostnqn nvme_dhchap_secret nvme_dhchap_ctrl_secret tn_sparse
    enable_live_snapshots snapshot_volume_chains vmstate_storage enable_bulk_operations api_retry_max api_retry_delay
);
my @only_in_2 = qw(
    tn_broker_timeout tn_api_budget_s tn_status_probe_backoff_s tn_compression tn_device_ready_retries
    tn_nvme_allow_any_host tn_nr_io_queues tn_nvme_ctrl_loss_tmo tn_nvme_reconnect_delay tn_nvme_keep_alive_tmo
    tn_storage_lock_timeout tn_use_cluster_lock
);
my @retention_and_pools = qw(
    snapshot_retention_days snapshot_max_count tn_snapshot_keep snapshot_auto_cleanup snapshot_cleanup_schedule datasets
    allocation_strategy
);
my @new = qw(
    tn_api_user tn_tls_ca_file tn_tls_fingerprint tn_volume_names tn_exact_size tn_space_overhead tn_overcommit
    tn_thin_warning tn_thin_critical tn_chap_peer_user tn_chap_peer_password
);
my %known = map { $_ => 1 } @of_1_1_7,
    (map { "tn_$_" } grep { !/^tn_/ } @of_1_1_7), @only_in_2,
    @retention_and_pools, @new;

is_deeply [grep { !$properties->{$_} } sort keys %known], [],
    'every key of 1.1.7, of 2.x and of ours is accepted';
is_deeply [grep { !$known{$_} } sort keys %$properties], [],
    'and no other: new keys begin with tn_';

for my $key (sort keys %$properties) {
    my $property = $properties->{$key};
    my @judging = grep { exists $property->{$_} } qw(format pattern minimum maximum minLength maxLength);
    push @judging, 'enum' if $property->{enum} && !grep { $_ eq $key } @new;
    is "@judging", '',
        "$key: the schema judges no value, or its line would be lost";
    ok $property->{optional} && length $property->{description},
        "$key is optional and described";
}

is_deeply [sort(PVE::Storage::TrueNAS::Schema::secrets())],
    [
    sort 'tn_chap_peer_password',
    map { ($_, "tn_$_") } qw(api_key chap_password nvme_dhchap_secret nvme_dhchap_ctrl_secret)
    ],
    'the secrets, those of 1.x in both spellings';

is PVE::Storage::TrueNAS::Schema::value({ api_host => 'a', tn_api_host => 'b' }, 'api_host'),
    'b',
    'of two spellings that of 2.x counts';

done_testing;
