// A form made from the JSON schema of an extractor's parameters.
import { html } from "../lib/html.js";
import { NumberField, Select, Slider, Switch, useId } from "../lib/fields.js";

const words = (name) => name.replaceAll("_", " ").replaceAll(".", " · ").replace(/^./, (letter) => letter.toUpperCase());
const HIDDEN = /(^|\.)device$/; // where a network runs is the server's business

const kinds = (schema) => (schema.anyOf ?? [schema]).map((one) => one.type);

export function SchemaForm({ schema, values, onInput }) {
  const fields = Object.entries(schema?.properties ?? {}).filter(([name]) => !HIDDEN.test(name));
  if (!fields.length) return null;
  return html`<div class="form">${fields.map(([name, one]) => html`<${Field} key=${name} name=${name} schema=${one}
    value=${name in values ? values[name] : one.default} onInput=${(value) => onInput(changed(values, name, value, one.default))} />`)}
    ${Object.keys(values).length > 0 && html`<button type="button" class="link" onClick=${() => onInput({})}>Back to the defaults</button>`}</div>`;
}

// what is as by default is left out of the request
function changed(values, name, value, fallback) {
  const { [name]: _, ...rest } = values;
  return value === fallback || value === null ? rest : { ...rest, [name]: value };
}

function Field({ name, schema, value, onInput }) {
  const types = kinds(schema);
  const optional = types.includes("null");
  const bounds = [schema, ...(schema.anyOf ?? [])];
  const bound = (key) => bounds.map((one) => one[key]).find((found) => found !== undefined);
  const choices = bound("enum");
  const note = schema.description;
  const label = schema.title && !schema.title.includes(".") ? schema.title : words(name);
  if (choices) return html`<${Select} label=${label} value=${value} onInput=${onInput} choices=${choices.filter((one) => one !== null).map((one) => [one, String(one)])} note=${note} />`;
  if (types.includes("boolean")) return html`<${Switch} label=${label} value=${Boolean(value)} onInput=${onInput} note=${note} />`;
  if (types.includes("integer") || types.includes("number")) {
    const [min, max] = [bound("minimum") ?? bound("exclusiveMinimum"), bound("maximum")];
    const step = types.includes("integer") ? 1 : 0.01;
    if (min !== undefined && max !== undefined && !optional) {
      return html`<${Slider} label=${label} value=${value} min=${min} max=${max} step=${step} onInput=${onInput} note=${note} />`;
    }
    return html`<${NumberField} label=${label} value=${value} min=${min} max=${max} step=${types.includes("integer") ? 1 : "any"} optional=${optional}
      placeholder=${optional ? "automatic" : ""} onInput=${onInput} note=${note} />`;
  }
  return html`<${TextField} label=${label} value=${value ?? ""} onInput=${(text) => onInput(text || null)} note=${note} />`;
}

function TextField({ label, value, onInput, note }) {
  const id = useId();
  return html`<div class="field row"><label for=${id}>${label}</label><input id=${id} type="text" value=${value} spellcheck="false" onChange=${(event) => onInput(event.target.value.trim())} />
    ${note && html`<small>${note}</small>`}</div>`;
}
