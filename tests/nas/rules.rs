//! The plugin meets every rule of the simulated server. Each test fails when its rule is switched off
//! (`TRUENAS_SIM_WITHOUT=RULE`; `tools/check-rules` does so for all of them): then it is known that the plugin was
//! proved against the rule, and not beside it.

pub mod client;
pub mod conduct;
mod datasets;
mod deletion;
mod exports;
mod extents;
mod frames;
mod growth;
mod lasting;
mod logins;
mod mappings;
mod nvme_namespaces;
mod nvme_sites;
mod queries;
mod rights;
mod rollbacks;
mod snapshots;

use truenas_sim::rules::Rule;

use crate::support::{Nas, version};

/// A NAS that obeys TRUENAS_SIM_VERSION and TRUENAS_SIM_WITHOUT whatever its arguments are, and that is not recorded:
/// some frames of these tests are wrong on purpose. Links appear at once unless the test is about them.
fn nas(arguments: &[&str]) -> Nas {
    let version = version();
    let mut all = vec!["--plain", "--link-delay", "0", "--api-version", &version];
    all.extend(arguments);
    let without = std::env::var("TRUENAS_SIM_WITHOUT");
    if let Ok(rule) = &without {
        all.extend(["--without", rule]);
    }
    Nas::start(&all)
}

fn path_of<F>(_: F) -> &'static str {
    std::any::type_name::<F>()
}

macro_rules! paths {
    ($($test:path,)*) => { [$(path_of($test),)*] };
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list")]
fn every_rule_has_a_test_of_the_plugin() {
    let paths = paths![
        frames::rule_call_limit_is_kept_while_thirty_snapshots_are_removed,
        frames::rule_message_size_is_far_above_what_the_longest_names_need,
        frames::rule_text_frames_are_all_that_is_sent,
        frames::rule_no_batch_is_sent_where_calls_go_out_together,
        frames::rule_array_params_are_what_every_call_has,
        frames::rule_closed_params_accept_every_call_on_every_version,
        frames::rule_typed_params_accept_every_call_on_every_version,
        frames::rule_older_line_is_never_asked_for,
        logins::rule_login_first_is_kept_on_every_connection,
        logins::rule_limiter_ends_in_one_clear_error_without_another_try,
        logins::rule_limiter_table_full_of_others_ends_in_the_same_error,
        logins::rule_login_delay_is_waited_out_so_that_the_refusal_is_told,
        logins::rule_login_user_must_be_that_of_the_key_and_is_named,
        logins::rule_insecure_revoke_is_told_as_the_reason,
        lasting::rule_session_expiry_between_two_steps_repeats_only_the_refused_call,
        lasting::rule_idle_close_is_seen_before_the_kept_connection_is_used,
        lasting::rule_cancel_on_close_leaves_snapshots_that_the_plugin_removes_then,
        rights::rule_roles_that_are_enough_are_each_needed,
        rights::rule_secrets_are_never_asked_for,
        queries::rule_removed_methods_are_asked_for_in_the_words_of_25_04,
        queries::rule_hidden_datasets_are_missing_and_not_empty,
        queries::rule_select_first_cannot_empty_a_list_that_selects_nothing,
        queries::rule_plain_select_is_how_holds_are_found_on_26,
        queries::rule_missing_path_is_a_volume_that_is_gone_on_26,
        datasets::rule_full_name_that_is_too_long_leaves_nothing_behind,
        datasets::rule_parent_that_vanishes_meanwhile_leaves_nothing_behind,
        datasets::rule_unique_dataset_taken_meanwhile_stays_what_it_is,
        datasets::rule_drop_user_properties_makes_the_plugin_write_its_mark_again,
        datasets::rule_user_property_name_is_kept_whatever_the_storage_is_called,
        growth::rule_block_multiple_is_kept_by_odd_sizes,
        growth::rule_eighty_percent_does_not_stop_thin_volumes,
        growth::rule_space_taken_meanwhile_leaves_nothing_behind,
        growth::rule_no_shrink_saves_what_somebody_else_grew_meanwhile,
        deletion::rule_children_are_never_deleted_with_their_parent,
        deletion::rule_openers_are_waited_for,
        deletion::rule_cascade_never_reaches_the_target,
        deletion::rule_rename_force_is_given,
        deletion::rule_rename_keeps_extent_of_the_old_name_and_its_number_is_not_given_again,
        snapshots::rule_snapshots_taken_meanwhile_stop_the_removal_and_another_free_finishes_it,
        snapshots::rule_clones_made_meanwhile_keep_their_origin,
        snapshots::rule_holds_made_meanwhile_keep_their_snapshot,
        rollbacks::rule_snapshot_unique_is_told_and_the_older_one_stays,
        rollbacks::rule_snapshot_rename_force_is_given,
        rollbacks::rule_clone_destination_taken_meanwhile_stays_what_it_is,
        rollbacks::rule_rollback_newest_saves_a_snapshot_taken_meanwhile,
        rollbacks::rule_rollback_size_is_the_volume_s_size_afterwards,
        rollbacks::rule_stale_size_is_not_what_initiators_see,
        extents::rule_link_delay_is_waited_for,
        extents::rule_extent_device_that_is_locked_away_is_waited_for,
        extents::rule_extent_name_taken_meanwhile_gets_a_distinct_one,
        extents::rule_extent_serial_is_left_to_the_server,
        extents::rule_extent_in_use_by_somebody_else_is_named_as_left_behind,
        mappings::rule_target_name_is_never_chosen_by_the_plugin,
        mappings::rule_lun_range_is_kept_above_the_highest_number,
        mappings::rule_lun_unique_taken_meanwhile_gets_another,
        mappings::rule_extent_mapped_by_somebody_else_is_taken_back,
        mappings::rule_in_use_does_not_stop_free,
        exports::rule_empty_target_never_comes_back_after_the_first_disk,
        exports::rule_skip_missing_exports_are_removed_by_freeing_the_name,
        nvme_namespaces::rule_namespace_device_is_waited_for,
        nvme_namespaces::rule_namespace_zvol_taken_by_somebody_else_is_named_as_left_behind,
        nvme_namespaces::rule_namespace_extent_of_somebody_else_is_named,
        nvme_namespaces::rule_extent_namespace_of_somebody_else_is_named,
        nvme_namespaces::rule_nsid_taken_meanwhile_gets_another,
        nvme_namespaces::rule_namespace_active_when_it_is_enabled_meanwhile_stays_with_its_disk,
        nvme_namespaces::rule_rename_keeps_namespace_of_the_old_name_and_its_number_is_not_given_again,
        nvme_namespaces::rule_subsystem_cascade_leaves_volumes_that_get_their_namespaces_back,
        nvme_sites::rule_nqn_form_is_told_and_nothing_is_made,
        nvme_sites::rule_subsystem_unique_made_meanwhile_is_used,
        nvme_sites::rule_port_unique_made_meanwhile_is_used,
        nvme_sites::rule_host_unique_of_two_activations_at_once_serves_both,
        nvme_sites::rule_link_unique_of_two_activations_at_once_is_made_once,
        nvme_sites::rule_dhchap_form_is_told_without_the_key,
        nvme_sites::rule_mixed_hosts_are_never_made,
    ];
    let mut tested: Vec<&str> = paths.iter().filter_map(|path| rule_of(path)).collect();
    let mut rules: Vec<&str> = Rule::ALL.iter().map(|rule| rule.describe().0).collect();
    tested.sort_unstable();
    rules.sort_unstable();
    assert_eq!(tested, rules);
}

/// `…::rule_call_limit_is_kept` tests `call-limit`; the longest name counts, as one may begin like another.
fn rule_of(path: &str) -> Option<&'static str> {
    let name = path.rsplit("::").next()?;
    let begins = |rule: &&str| name.starts_with(&format!("rule_{}_", rule.replace('-', "_")));
    Rule::ALL
        .iter()
        .map(|rule| rule.describe().0)
        .filter(begins)
        .max_by_key(|rule| rule.len())
}
