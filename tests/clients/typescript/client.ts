// Edits pictures with openapi-fetch and the types that openapi-typescript made from docs/openapi.json.
// Prints the links as JSON. Arguments: the base address, the token, a photograph.
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { paths } from "./api";

const [address, token, photograph] = process.argv.slice(2) as [string, string, string];
// The answers of operations are JSON, or files for who asks for them with Accept: here they are JSON.
const client = createClient<paths, "application/json">({ baseUrl: address, headers: { api_token: token } });
const base64 = readFileSync(photograph).toString("base64");

async function main(): Promise<void> {
  const removed = await client.POST("/v1/background/remove", { body: { file: base64 } });
  if (removed.error) throw new Error(removed.error.description);

  const form = new FormData();
  form.append("file", new Blob([readFileSync(photograph)]), "photo.jpg");
  const uploaded = await client.POST("/v1/register", {
    body: {},
    bodySerializer: () => form,
  });
  if (uploaded.error) throw new Error(uploaded.error.description);

  const params = { path: { visual_id: uploaded.data.visual_id } };
  const masks = await client.POST("/v1/{visual_id}/objects/mask_generator", { params });
  if (masks.error) throw new Error(masks.error.description);

  const erased = await client.POST("/v1/{visual_id}/objects/remove", {
    params,
    body: { changes: [{ mask_id: 1, actions: { remove: true } }] },
  });
  if (erased.error) throw new Error(erased.error.description);

  const refused = await client.POST("/v1/background/remove", { body: {} });
  if (!refused.error) throw new Error("a request without a picture was accepted");

  console.log(
    JSON.stringify({
      removed: removed.data.result_url,
      masks: masks.data.objects_masks,
      erased: erased.data.image_res,
      refused: refused.error.code,
    }),
  );
}

void main();
