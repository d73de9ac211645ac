# The image with a container engine: docker build --tag netloom:0.1.0 .
# Without one: npm run image. Both put the same files into it; scripts/image.mjs says what they are.

FROM node:20.20.2-bookworm AS build
ENV DEBIAN_FRONTEND=noninteractive
WORKDIR /src
COPY . .
RUN npm ci --ignore-scripts --no-audit --no-fund \
 && npm run build \
 && node scripts/image.mjs --root /image

FROM scratch
COPY --from=build /image/ /
ENV PATH=/usr/local/bin
ENTRYPOINT ["/usr/local/bin/netloom"]
CMD ["--help"]
