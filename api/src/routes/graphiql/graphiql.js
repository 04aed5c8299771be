// GraphiQL without dependencies: sends operations to this server and shows its schema. Everything it shows is set as text.
"use strict";

const EXAMPLES = {
  "My wallets": [`{
  wallets {
    id
    currency
    balance
    frozenBalance
    transactions(first: 10) {
      nodes { id transactionType direction amount status }
      pageInfo { hasNextPage endCursor }
    }
  }
}`, {}],
  "Create wallet": [`mutation CreateWallet($input: CreateWalletInput!) {
  createWallet(input: $input) { id userId balance isActive createdAt }
}`, { input: { currency: "usd" } }],
  "Deposit": [`mutation Deposit($walletId: String!, $input: DepositInput!) {
  deposit(walletId: $walletId, input: $input) { id amount status stripePaymentIntentId metadata }
}`, { walletId: "", input: { amount: "25.00", stripePaymentMethodId: "pm_card_visa" } }],
  "Withdraw": [`mutation Withdraw($walletId: String!, $input: WithdrawInput!) {
  withdraw(walletId: $walletId, input: $input) { id amount status stripeTransferId }
}`, { walletId: "", input: { amount: "5.00" } }],
  "Transfer": [`mutation Transfer($fromWalletId: String!, $input: TransferInput!) {
  transfer(fromWalletId: $fromWalletId, input: $input) { id amount status metadata }
}`, { fromWalletId: "", input: { toWalletId: "", amount: "5.00" } }],
  "A transaction": [`query($id: String!) {
  transaction(id: $id) {
    id transactionType direction amount status failureReason
    timeline { at kind message }
  }
}`, { id: "" }],
};

const INTROSPECTION = `{
  __schema {
    types {
      kind name description
      fields { name description args { name description defaultValue type { ...T } } type { ...T } }
      inputFields { name description defaultValue type { ...T } }
      enumValues { name description }
    }
  }
}
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`;

const $ = (id) => document.getElementById(id);

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

async function send(query, variables, operationName) {
  const headers = { "Content-Type": "application/json" };
  if ($("token").value.trim()) headers.Authorization = `Bearer ${$("token").value.trim()}`;
  if ($("key").value) headers["Idempotency-Key"] = $("key").value;
  const body = JSON.stringify({ query, variables, operationName });
  const response = await fetch("/graphql", { method: "POST", headers, body });
  return { status: response.status, body: await response.json() };
}

// The operation that the cursor stands in, when there are several.
function chosenOperation() {
  const text = $("query").value;
  const found = [...text.matchAll(/^[ \t]*(?:query|mutation|subscription)[ \t]+(\w+)/gm)];
  if (found.length < 2) return undefined;
  const before = found.filter((match) => match.index <= $("query").selectionStart);
  return (before.at(-1) ?? found[0])[1];
}

async function run() {
  const started = performance.now();
  $("status").textContent = "…";
  try {
    const variables = $("variables").value.trim() ? JSON.parse($("variables").value) : undefined;
    const { status, body } = await send($("query").value, variables, chosenOperation());
    $("result").textContent = JSON.stringify(body, null, 2);
    $("status").textContent = `${status}, ${Math.round(performance.now() - started)} ms`;
  } catch (error) {
    $("result").textContent = String(error);
    $("status").textContent = "";
  }
}

function typeName(type) {
  if (type.kind === "NON_NULL") return `${typeName(type.ofType)}!`;
  if (type.kind === "LIST") return `[${typeName(type.ofType)}]`;
  return type.name;
}

function signature(field) {
  const args = (field.args ?? []).map((arg) => `${arg.name}: ${typeName(arg.type)}`);
  const type = field.type ? `: ${typeName(field.type)}` : "";
  const preset = field.defaultValue ? ` = ${field.defaultValue}` : "";
  return `${field.name}${args.length ? `(${args.join(", ")})` : ""}${type}${preset}`;
}

function showSchema(types) {
  const first = ["Query", "Mutation", "Subscription"];
  const rank = (type) => (first.includes(type.name) ? first.indexOf(type.name) : first.length);
  types.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  for (const type of types.filter(({ name }) => !name.startsWith("__"))) {
    const members = type.fields ?? type.inputFields ?? type.enumValues ?? [];
    const list = element("dl");
    for (const member of members) {
      list.append(element("dt", signature(member)));
      if (member.description) list.append(element("dd", member.description));
    }
    const shown = element("details", "", element("summary", type.name));
    if (type.description) shown.append(element("p", type.description));
    shown.append(list);
    shown.open = rank(type) < 2;
    $("docs").append(shown);
  }
}

function search() {
  const wanted = $("search").value.toLowerCase();
  for (const shown of $("docs").children) {
    shown.hidden = !shown.textContent.toLowerCase().includes(wanted);
    if (wanted) shown.open = true;
  }
}

function show(example) {
  const [query, variables] = EXAMPLES[example];
  $("query").value = query;
  $("variables").value = Object.keys(variables).length ? JSON.stringify(variables, null, 2) : "";
}

for (const name of Object.keys(EXAMPLES)) $("examples").append(element("option", name));
$("examples").addEventListener("change", ({ target }) => target.value && show(target.value));
$("run").addEventListener("click", run);
$("search").addEventListener("input", search);
$("token").value = sessionStorage.getItem("token") ?? "";
$("token").addEventListener("input", ({ target }) => sessionStorage.setItem("token", target.value));
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
});
show("My wallets");
send(INTROSPECTION).then(
  ({ body }) => showSchema(body.data.__schema.types),
  (error) => $("docs").append(element("p", `The schema could not be read: ${error}`)),
);
