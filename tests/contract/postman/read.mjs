// A collection as Postman's own library reads it: what it would send, item by item.
import { readFileSync } from "node:fs";
import postman from "postman-collection";

const collection = new postman.Collection(JSON.parse(readFileSync(0, "utf8")));
const requests = [];
collection.forEachItem((item) => {
  const { request } = item;
  // Of the root there is none.
  const parts = request.url.path ?? [];
  const path = parts.map((part) => (part.startsWith(":") ? `{${part.slice(1)}}` : part));
  requests.push({
    operation: `${request.method} /${path.join("/")}`,
    folder: item.parent().name,
    placeholders: parts.filter((part) => part.startsWith(":")).map((part) => part.slice(1)),
    variables: request.url.variables.map((variable) => variable.key),
    url: postman.Property.replaceSubstitutions(request.url.toString(), collection.variables.toObject()),
    auth: item.getAuth()?.type,
    body: request.body?.raw,
  });
});
console.log(JSON.stringify(requests));
