/** @type {import('next').NextConfig} */
export default {
  // It speaks gRPC by Node's own modules, which a bundle has no use for.
  serverExternalPackages: ['@scalekit-sdk/node'],
};
