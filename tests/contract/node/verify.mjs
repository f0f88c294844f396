// Asks verifiers that are not ours about files; one JSON object per line and file.
//   node verify.mjs ROOT.pem FILE...
import { readFile } from 'node:fs/promises';

const [rootPath, ...files] = process.argv.slice(2);
const anchors = await readFile(rootPath, 'utf8');

async function pureTypeScript(path) {
  const { BMFF, JPEG, PNG } = await import('@trustnxt/c2pa-ts/asset');
  const { SuperBox } = await import('@trustnxt/c2pa-ts/jumbf');
  const { ManifestStore } = await import('@trustnxt/c2pa-ts/manifest');
  const data = await readFile(path);
  const kind = [PNG, JPEG, BMFF].find((one) => one.canRead(data));
  if (kind === undefined) return { supported: false };
  try {
    const asset = new kind(data);
    const jumbf = asset.getManifestJUMBF();
    if (!jumbf) return { supported: true, intact: false, codes: ['no manifest'] };
    const result = await ManifestStore.read(SuperBox.fromBuffer(jumbf)).validate(asset);
    return {
      supported: true,
      intact: result.isValid,
      codes: result.statusEntries.filter((one) => !one.success).map((one) => one.code),
      passed: result.statusEntries.filter((one) => one.success).map((one) => one.code),
    };
  } catch (error) {
    return { supported: true, intact: false, codes: [String(error)] };
  }
}

async function native(path) {
  const { Reader } = await import('@contentauth/c2pa-node');
  const settings = {
    trust: {
      user_anchors: anchors,
      trust_config: '1.3.6.1.5.5.7.3.4\n1.3.6.1.4.1.62558.2.1\n',
    },
    verify: { remote_manifest_fetch: false, ocsp_fetch: false, verify_trust: true },
  };
  try {
    const reader = await Reader.fromAsset({ path }, settings);
    if (reader === null || reader === undefined) return { intact: false, codes: ['no manifest'] };
    const report = reader.json();
    const active = report.validation_results?.activeManifest ?? {};
    return {
      state: report.validation_state,
      intact: ['Valid', 'Trusted'].includes(report.validation_state),
      codes: (active.failure ?? []).map((one) => one.code),
    };
  } catch (error) {
    return { intact: false, codes: [String(error)] };
  }
}

for (const file of files) {
  const answer = { file, ts: await pureTypeScript(file), native: await native(file) };
  console.log(JSON.stringify(answer));
}
