# The silo's image: iommufd-silo on ASP.NET Core's runtime, under an unprivileged account. Configured by environment (docs/operations.md).

FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /src
COPY global.json Directory.Build.props Directory.Build.targets Directory.Packages.props .editorconfig ./
COPY grain-interfaces/IommuFd.GrainInterfaces.csproj grain-interfaces/
COPY grains/IommuFd.Grains.csproj grains/
COPY silo/IommuFd.Silo.csproj silo/
RUN dotnet restore silo
COPY grain-interfaces grain-interfaces
COPY grains grains
COPY silo silo
RUN dotnet publish silo -c Release --no-restore -o /app

FROM mcr.microsoft.com/dotnet/aspnet:10.0
# The folder of the SQLite journal, for a silo without a database. Mount a volume here.
RUN mkdir /var/lib/iommufd && chown $APP_UID /var/lib/iommufd
WORKDIR /var/lib/iommufd
COPY --from=build /app /app
USER $APP_UID
EXPOSE 11111 30000 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["dotnet", "/app/iommufd-silo.dll", "--health"]
ENTRYPOINT ["dotnet", "/app/iommufd-silo.dll"]
