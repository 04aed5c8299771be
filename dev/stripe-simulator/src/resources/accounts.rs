//! `/v1/accounts` and `/v1/account_links`: connected accounts, and the payee's onboarding.

use serde_json::{Value, json};

use super::{Answer, Call, Route, allow_list, external_accounts};
use crate::effects::NewEffect;
use crate::errors::ApiError;
use crate::form::Params;
use crate::money::Currency;
use crate::objects::{Account, AccountKind, BankAccount, Id, Owner, Resource, fixture, shape};
use crate::state::{Origin, State};

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/accounts", "accounts.create", create),
    Route::get("/v1/accounts", "accounts.list", list),
    Route::get("/v1/accounts/{}", "accounts.retrieve", retrieve),
    Route::post("/v1/accounts/{}", "accounts.update", update),
    Route::delete("/v1/accounts/{}", "accounts.delete", delete),
    Route::get("/v1/account", "accounts.retrieve_own", retrieve_own),
    Route::post("/v1/account_links", "account_links.create", create_link),
];

fixture!(LINK, "account_link");
fixture!(PLATFORM, "account");

/// The account that the platform's key belongs to.
const PLATFORM_ID: &str = "acct_1SimulatorPlatform0";

const PARAMS: [&str; 17] = [
    "type",
    "controller",
    "country",
    "default_currency",
    "email",
    "business_type",
    "metadata",
    "capabilities",
    "external_account",
    "tos_acceptance",
    "individual",
    "company",
    "business_profile",
    "settings",
    "account_token",
    "documents",
    "groups",
];

/// Stripe's requirements before it pays out, each with the parameter that fulfils it.
const REQUIREMENTS: [(&str, &str); 4] = [
    ("business_type", "business_type"),
    ("external_account", "external_account"),
    ("tos_acceptance[date]", "tos_acceptance.date"),
    ("tos_acceptance[ip]", "tos_acceptance.ip"),
];

fn create(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&PARAMS)?;
    let country = params
        .text("country")
        .unwrap_or(&state.settings.platform_country)
        .to_uppercase();
    let currency = match params.text("default_currency") {
        Some(code) => Currency::parse(code)?,
        None => Currency::parse(currency_of(&country))?,
    };
    // Checked only where it is certain: accounts of these countries are paid out in one currency
    // (<https://docs.stripe.com/payouts#supported-accounts-and-settlement-currencies>).
    if matches!(country.as_str(), "US" | "JP" | "BR" | "MX") && currency.code() != currency_of(&country) {
        let message = format!(
            "The currency {} is not supported for accounts in {country}.",
            currency.code()
        );
        return Err(ApiError::invalid_param("default_currency", message));
    }
    agreement(params, &state.settings.platform_country, &country)?;
    let mut account = blank(state, Id::generate(), country, currency);
    account.kind = kind(params)?;
    apply(params, &mut account)?;
    if state.settings.accounts_ready {
        make_ready(&mut account);
    }
    let id = account.id.clone();
    add(state, &call.origin, account);
    Ok(state.rendered(&id))
}

/// Refuses capabilities that the account's service agreement does not allow (<https://docs.stripe.com/connect/service-agreement-types>), and
/// `transfers` alone under the full agreement outside the United States, which needs Stripe's approval of the platform
/// (<https://docs.stripe.com/connect/account-capabilities>).
fn agreement(params: &Params, platform: &str, country: &str) -> Result<(), ApiError> {
    let requests = |name: &str| params.text(&format!("capabilities[{name}][requested]")) == Some("true");
    let refused = |message: String| Err(ApiError::invalid_param("capabilities", message));
    match params.text("tos_acceptance[service_agreement]") {
        Some("recipient") if platform.eq_ignore_ascii_case(country) || are_paid_in_full(platform, country) => refused(format!(
            "The recipient ToS agreement is not supported for platforms in {platform} creating accounts in {country}."
        )),
        Some("recipient") if requests("card_payments") => {
            refused("Accounts under the recipient service agreement cannot request the `card_payments` capability.".to_owned())
        }
        Some("recipient") => Ok(()),
        Some("full") | None if requests("transfers") && !requests("card_payments") && country != "US" => refused(
            "Your platform needs approval for accounts to have requested the `transfers` capability without the `card_payments` capability."
                .to_owned(),
        ),
        Some("full") | None => Ok(()),
        Some(other) => Err(ApiError::invalid_param(
            "tos_acceptance[service_agreement]",
            format!("Invalid tos_acceptance[service_agreement]: must be one of full or recipient; got {other}"),
        )),
    }
}

/// Returns whether Stripe pays accounts under the full agreement between these countries: only within the European Economic Area, Switzerland,
/// the United Kingdom, Canada and the United States (<https://docs.stripe.com/connect/cross-border-payouts#availability>).
fn are_paid_in_full(platform: &str, country: &str) -> bool {
    const PAID: &str = "AT BE BG CA CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK US";
    [platform, country]
        .iter()
        .all(|one| PAID.split(' ').any(|paid| paid.eq_ignore_ascii_case(one)))
}

/// Returns an account with no details.
pub(crate) fn blank(state: &State, id: Id<Account>, country: String, currency: Currency) -> Account {
    Account {
        id,
        created: state.now(),
        kind: AccountKind::Express,
        country,
        currency,
        email: None,
        business_type: None,
        metadata: std::collections::BTreeMap::new(),
        charges_enabled: false,
        payouts_enabled: false,
        transfers_active: false,
        details_submitted: false,
        currently_due: REQUIREMENTS.iter().map(|(_, name)| (*name).to_owned()).collect(),
        disabled_reason: Some("requirements.past_due".to_owned()),
        payout_interval: "daily".to_owned(),
        external_accounts: Vec::new(),
        deleted: false,
    }
}

/// Adds a new account and logs the effect.
pub(crate) fn add(state: &mut State, origin: &Origin, account: Account) {
    let (id, metadata) = (account.id.clone(), account.metadata.clone());
    state.accounts.insert(account);
    let effect = NewEffect {
        operation: "account.create",
        object: id.as_str(),
        account: Some(id.as_str()),
        metadata,
        ..NewEffect::default()
    };
    state.log_effect(origin, effect);
}

fn kind(params: &Params) -> Result<AccountKind, ApiError> {
    match params.text("type") {
        Some("standard") => Ok(AccountKind::Standard),
        Some("express") => Ok(AccountKind::Express),
        Some("custom") => Ok(AccountKind::Custom),
        Some(other) => Err(ApiError::invalid_param(
            "type",
            format!("Invalid type: must be one of custom, express, or standard; got {other}"),
        )),
        None => Ok(match params.text("controller[stripe_dashboard][type]") {
            Some("express") => AccountKind::Express,
            Some("none") if params.text("controller[requirement_collection]") == Some("application") => {
                AccountKind::Custom
            }
            Some("none") => AccountKind::None,
            _ => AccountKind::Standard,
        }),
    }
}

/// Applies a request's parameters to an account; an account with no requirement left is enabled.
fn apply(params: &Params, account: &mut Account) -> Result<(), ApiError> {
    params.update_metadata(&mut account.metadata)?;
    if let Some(email) = params.owned("email") {
        account.email = Some(email);
    }
    if let Some(kind) = params.owned("business_type") {
        account.business_type = Some(kind);
    }
    if let Some(interval) = params.owned("settings[payouts][schedule][interval]") {
        account.payout_interval = interval;
    }
    if params.has("external_account") {
        let bank = external_accounts::described(params, &account.country)?;
        account.external_accounts.push(bank);
    }
    account.currently_due.retain(|due| {
        let answered = REQUIREMENTS
            .iter()
            .any(|(param, name)| name == due && params.has(param));
        !(answered || due == "external_account" && !account.external_accounts.is_empty())
    });
    if account.currently_due.is_empty()
        && !account.payouts_enabled
        && account.disabled_reason.as_deref() == Some("requirements.past_due")
    {
        account.reconsider();
    }
    Ok(())
}

/// Completes the onboarding: no requirement is due, and there is a bank account to pay out to.
pub(crate) fn make_ready(account: &mut Account) {
    account.currently_due.clear();
    if account.external_accounts.is_empty() {
        account
            .external_accounts
            .push(BankAccount::test(&account.country, account.currency));
    }
    account
        .business_type
        .get_or_insert_with(|| "individual".to_owned());
    account.reconsider();
}

fn list(state: &mut State, call: &Call) -> Answer {
    allow_list(call, &[])?;
    state.list(
        &Owner::Platform,
        &call.params,
        &call.path,
        None,
        |account: &Account| !account.deleted,
    )
}

fn retrieve(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&[])?;
    if call.id() == PLATFORM_ID {
        return Ok(own(state));
    }
    Ok(known(state, call.id())?.render(state))
}

fn retrieve_own(state: &mut State, call: &Call) -> Answer {
    match &call.owner {
        Owner::Connected(id) => Ok(state.rendered(id)),
        Owner::Platform => Ok(own(state)),
    }
}

/// Renders the platform's own account.
fn own(state: &State) -> Value {
    let mut platform = shape(
        &PLATFORM,
        json!({ "id": PLATFORM_ID, "charges_enabled": true, "payouts_enabled": true, "details_submitted": true,
                "metadata": state.settings.platform_metadata }),
    );
    if let Some(fields) = platform.as_object_mut() {
        let settings = &state.settings;
        fields.insert("country".to_owned(), json!(settings.platform_country));
        if let Some(default) = settings.settlement_currencies.first() {
            fields.insert("default_currency".to_owned(), json!(default));
        }
    }
    if let Some(interval) = platform.pointer_mut("/settings/payouts/schedule/interval") {
        *interval = json!(state.settings.platform_payout_interval);
    }
    platform
}

/// Returns a connected account. The error does not reveal whether an account that is not ours exists.
///
/// # Errors
/// 403 `account_invalid`.
pub(crate) fn known<'a>(state: &'a State, id: &str) -> Result<&'a Account, ApiError> {
    state.accounts.get(id).filter(|account| !account.deleted).ok_or_else(|| {
        ApiError::forbidden(
            "account_invalid",
            format!("The provided key 'sk_test_***' does not have access to account '{id}' (or that account does not exist). Application access may have been revoked."),
        )
    })
}

fn update(state: &mut State, call: &Call) -> Answer {
    call.params.allow_only(&PARAMS)?;
    let mut account = known(state, call.id())?.clone();
    apply(&call.params, &mut account)?;
    let id = account.id.clone();
    replace(state, &call.origin, account);
    Ok(state.rendered(&id))
}

/// Stores a changed account and emits events of its changes.
pub(crate) fn replace(state: &mut State, origin: &Origin, account: Account) {
    let (id, owner) = (account.id.clone(), account.as_owner());
    let before = state.rendered(&id);
    state.change(&id, |row| *row = account);
    let after = state.rendered(&id);
    if before != after {
        state.emit_update(origin, &owner, "account.updated", &before, &after);
    }
}

fn delete(state: &mut State, call: &Call) -> Answer {
    let account = known(state, call.id())?.clone();
    disconnect(state, &call.origin, &account);
    Ok(state.rendered(&account.id))
}

/// Ends our access to an account, at our request or its owner's. Payments in progress there continue.
pub(crate) fn disconnect(state: &mut State, origin: &Origin, account: &Account) {
    state.change(&account.id, |row| row.deleted = true);
    let effect = NewEffect {
        operation: "account.deauthorize",
        object: account.id.as_str(),
        account: Some(account.id.as_str()),
        metadata: account.metadata.clone(),
        ..NewEffect::default()
    };
    state.log_effect(origin, effect);
    let application = json!({ "id": "ca_simulator", "object": "application", "name": "Stripe simulator" });
    state.emit(
        origin,
        &account.as_owner(),
        "account.application.deauthorized",
        &application,
        None,
    );
}

fn create_link(state: &mut State, call: &Call) -> Answer {
    let params = &call.params;
    params.allow_only(&[
        "account",
        "type",
        "refresh_url",
        "return_url",
        "collect",
        "collection_options",
    ])?;
    let id = params.required("account")?;
    let account = state
        .accounts
        .get(id)
        .filter(|account| !account.deleted)
        .ok_or_else(|| ApiError::no_such("account", id, "account"))?;
    let id = account.id.clone();
    let kind = params.required("type")?;
    if !["account_onboarding", "account_update"].contains(&kind) {
        let message =
            format!("Invalid type: must be one of account_onboarding or account_update; got {kind}");
        return Err(ApiError::invalid_param("type", message));
    }
    if kind == "account_onboarding" {
        params.required("refresh_url")?;
        params.required("return_url")?;
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("return_url", params.text("return_url").unwrap_or_default())
        .finish();
    let effect = NewEffect {
        operation: "account_link.create",
        object: id.as_str(),
        account: Some(id.as_str()),
        ..NewEffect::default()
    };
    state.log_effect(&call.origin, effect);
    let now = state.now().seconds();
    let url = format!("{}/_setup/{id}?{query}", state.base_url);
    Ok(shape(
        &LINK,
        json!({ "created": now, "expires_at": now + 300, "url": url }),
    ))
}

/// Completes an account's onboarding, as the payee does behind an account link.
///
/// # Errors
/// When the account is unknown.
pub(crate) fn onboard(state: &mut State, id: &str) -> Result<Value, ApiError> {
    let mut account = known(state, id)?.clone();
    make_ready(&mut account);
    let id = account.id.clone();
    replace(state, &Origin::default(), account);
    Ok(state.rendered(&id))
}

fn currency_of(country: &str) -> &'static str {
    match country {
        "GB" => "gbp",
        "CA" => "cad",
        "AU" => "aud",
        "NZ" => "nzd",
        "JP" => "jpy",
        "CH" => "chf",
        "SE" => "sek",
        "NO" => "nok",
        "DK" => "dkk",
        "PL" => "pln",
        "SG" => "sgd",
        "HK" => "hkd",
        "MX" => "mxn",
        "BR" => "brl",
        "AT" | "BE" | "CY" | "DE" | "EE" | "ES" | "FI" | "FR" | "GR" | "HR" | "IE" | "IT" | "LT" | "LU"
        | "LV" | "MT" | "NL" | "PT" | "SI" | "SK" => "eur",
        _ => "usd",
    }
}
