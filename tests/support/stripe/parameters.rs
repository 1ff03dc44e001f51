//! The parameters that Stripe knows, so that a misspelt one is refused as Stripe refuses it.

use super::calls::Call;
use super::failure::{Failure, Outcome};

/// By method and path, where `_` is an id. Where nothing is known, nothing is refused.
const KNOWN: [(&str, &str); 32] = [
    (
        "POST customers",
        "address balance business_name cash_balance description email individual_name \
            invoice_prefix invoice_settings metadata name next_invoice_sequence payment_method \
            phone preferred_locales shipping source tax tax_exempt tax_id_data test_clock",
    ),
    ("GET customers", "created email ending_before limit starting_after test_clock"),
    ("GET customers/search", "limit page query"),
    (
        "POST customers/_",
        "address balance bank_account business_name card cash_balance default_alipay_account \
            default_bank_account default_card default_source description email individual_name \
            invoice_prefix invoice_settings metadata name next_invoice_sequence phone \
            preferred_locales shipping source tax tax_exempt",
    ),
    ("GET customers/_/payment_methods", "allow_redisplay ending_before limit starting_after type"),
    (
        "POST products",
        "active default_price_data description id images marketing_features metadata name \
            package_dimensions shippable statement_descriptor tax_code unit_label url",
    ),
    ("GET products", "active created ending_before ids limit shippable starting_after url"),
    (
        "POST products/_",
        "active default_price description images marketing_features metadata name \
            package_dimensions shippable statement_descriptor tax_code unit_label url",
    ),
    (
        "POST prices",
        "active billing_scheme currency currency_options custom_unit_amount lookup_key \
            metadata nickname product product_data recurring tax_behavior tiers tiers_mode \
            transfer_lookup_key transform_quantity unit_amount unit_amount_decimal",
    ),
    (
        "GET prices",
        "active created currency ending_before limit lookup_keys product recurring \
            starting_after type",
    ),
    (
        "POST prices/_",
        "active currency_options lookup_key metadata nickname tax_behavior \
            transfer_lookup_key",
    ),
    (
        "POST checkout/sessions",
        "adaptive_pricing after_expiration allow_promotion_codes automatic_tax \
            billing_address_collection branding_settings cancel_url client_reference_id \
            consent_collection currency custom_fields custom_text customer customer_account \
            customer_creation customer_email customer_update discounts \
            excluded_payment_method_types expires_at integration_identifier invoice_creation \
            line_items locale managed_payments metadata mode name_collection optional_items \
            origin_context payment_intent_data payment_method_collection \
            payment_method_configuration payment_method_data payment_method_options \
            payment_method_types permissions phone_number_collection redirect_on_completion \
            return_url saved_payment_method_options setup_intent_data \
            shipping_address_collection shipping_options submit_type subscription_data \
            success_url tax_id_collection ui_mode wallet_options",
    ),
    (
        "GET checkout/sessions",
        "created customer customer_account customer_details ending_before limit \
            payment_intent payment_link starting_after status subscription",
    ),
    (
        "POST billing_portal/sessions",
        "configuration customer customer_account flow_data locale on_behalf_of return_url",
    ),
    (
        "POST subscriptions",
        "add_invoice_items application_fee_percent automatic_tax backdate_start_date \
            billing_cycle_anchor billing_cycle_anchor_config billing_mode billing_schedules \
            billing_thresholds cancel_at cancel_at_period_end collection_method currency \
            customer customer_account days_until_due default_payment_method default_source \
            default_tax_rates description discounts invoice_settings items metadata off_session \
            on_behalf_of payment_behavior payment_settings pending_invoice_item_interval \
            proration_behavior transfer_data trial_end trial_from_plan trial_period_days \
            trial_settings",
    ),
    (
        "GET subscriptions",
        "automatic_tax collection_method created current_period_end current_period_start \
            customer customer_account ending_before limit price starting_after status test_clock",
    ),
    (
        "POST subscriptions/_",
        "add_invoice_items application_fee_percent automatic_tax billing_cycle_anchor \
            billing_schedules billing_thresholds cancel_at cancel_at_period_end \
            cancellation_details collection_method days_until_due default_payment_method \
            default_source default_tax_rates description discounts invoice_settings items \
            metadata off_session on_behalf_of pause_collection payment_behavior payment_settings \
            pending_invoice_item_interval proration_behavior proration_date transfer_data \
            trial_end trial_from_plan trial_settings",
    ),
    ("DELETE subscriptions/_", "cancellation_details invoice_now prorate"),
    (
        "GET invoices",
        "collection_method created customer customer_account due_date ending_before limit \
            starting_after status subscription",
    ),
    (
        "POST invoices/create_preview",
        "automatic_tax currency customer customer_account customer_details discounts \
            invoice_items issuer on_behalf_of preview_mode schedule schedule_details \
            subscription subscription_details",
    ),
    ("POST invoices/_/pay", "forgive mandate off_session paid_out_of_band payment_method source"),
    ("GET invoice_payments", "created ending_before invoice limit payment starting_after status"),
    (
        "POST payment_intents",
        "allowed_payment_method_types amount amount_details application_fee_amount \
            automatic_payment_methods capture_method confirm confirmation_method \
            confirmation_token currency customer customer_account description \
            error_on_requires_action excluded_payment_method_types hooks mandate mandate_data \
            metadata off_session on_behalf_of payment_details payment_method \
            payment_method_configuration payment_method_data payment_method_options \
            payment_method_types radar_options receipt_email return_url setup_future_usage \
            shipping statement_descriptor statement_descriptor_suffix transfer_data \
            transfer_group use_stripe_sdk",
    ),
    ("GET payment_intents", "created customer customer_account ending_before limit starting_after"),
    (
        "POST payment_intents/_/confirm",
        "allowed_payment_method_types amount_details amount_to_confirm capture_method \
            client_secret confirmation_token error_on_requires_action \
            excluded_payment_method_types hooks mandate mandate_data off_session payment_details \
            payment_method payment_method_data payment_method_options payment_method_types \
            radar_options receipt_email return_url setup_future_usage shipping use_stripe_sdk",
    ),
    ("POST payment_intents/_/cancel", "cancellation_reason"),
    (
        "GET payment_methods",
        "allow_redisplay customer customer_account ending_before limit starting_after type",
    ),
    (
        "GET charges",
        "created customer ending_before limit payment_intent starting_after transfer_group",
    ),
    (
        "POST refunds",
        "amount charge currency customer instructions_email metadata origin payment_intent \
            reason refund_application_fee reverse_transfer",
    ),
    ("GET refunds", "charge created ending_before limit payment_intent starting_after"),
    ("GET disputes", "charge created ending_before limit payment_intent starting_after"),
    ("GET events", "created delivery_success ending_before limit starting_after type types"),
];

pub fn check(call: &Call) -> Outcome<()> {
    let Some((_, known)) = KNOWN.iter().find(|(place, _)| is_at(call, place)) else {
        return Ok(());
    };
    let known = |name: &str| name == "expand" || known.split(' ').any(|one| one == name);
    for name in call.form.value().as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !known(name) {
            let message = format!("Received unknown parameter: {name}");
            return Err(Failure::coded("parameter_unknown", &message).at(name));
        }
    }
    Ok(())
}

fn is_at(call: &Call, place: &str) -> bool {
    let Some((method, pattern)) = place.split_once(' ') else { return false };
    let path = call.path.trim_start_matches("/v1/").split('/');
    method == call.method
        && path.clone().count() == pattern.split('/').count()
        && path.zip(pattern.split('/')).all(|(word, wanted)| wanted == "_" || word == wanted)
}
