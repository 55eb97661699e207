using System.Collections.Frozen;
using System.IO.Compression;
using System.Reflection;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace IommuFd.Silo.Dashboard;

/// <summary>Serves the dashboard's styles and scripts from this assembly, so that the silo has them however it runs, without a folder.</summary>
internal sealed class Assets
{
    private const string Prefix = "dashboard/";

    /// <summary>The files of the sign-in page.</summary>
    private static readonly string[] ForEverybody = ["dashboard.css", "icon.svg"];

    private readonly FrozenDictionary<string, Asset> _assets = Assembly.GetExecutingAssembly().GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
        .ToFrozenDictionary(name => name[Prefix.Length..], Load);

    /// <summary>A file's URL. Each version has its own, so that browsers can cache it.</summary>
    public string Url(string name) => $"/assets/{name}?v={_assets[name].Version}";

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/assets/{name}", (string name, HttpContext context) => Serve(name, context));

        // Blazor's script keeps its usual path, next to that of its circuit.
        endpoints.MapGet("/_framework/blazor.web.js", (HttpContext context) => Serve("blazor.web.js", context));
        foreach (var name in ForEverybody)
        {
            endpoints.MapGet($"/assets/{name}", (HttpContext context) => Serve(name, context)).AllowAnonymous();
        }
    }

    private IResult Serve(string name, HttpContext context)
    {
        if (!_assets.TryGetValue(name, out var asset))
        {
            return Results.NotFound();
        }

        var isCompressed = context.Request.Headers.AcceptEncoding.ToString().Contains("gzip", StringComparison.Ordinal);
        context.Response.Headers.CacheControl = context.Request.Query["v"] == asset.Version ? "public, max-age=31536000, immutable" : "no-cache";
        context.Response.Headers.Vary = "Accept-Encoding";
        if (isCompressed)
        {
            context.Response.Headers.ContentEncoding = "gzip";
        }

        return Results.Bytes(isCompressed ? asset.Compressed : asset.Bytes, asset.ContentType, entityTag: new($"\"{asset.Version}{(isCompressed ? "-gzip" : "")}\""));
    }

    private static Asset Load(string resource)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(resource)!;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        using var compressed = new MemoryStream();
        using (var gzip = new GZipStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
        {
            gzip.Write(bytes);
        }

        var contentType = Path.GetExtension(resource) switch
        {
            ".css" => "text/css; charset=utf-8",
            ".js" => "text/javascript; charset=utf-8",
            ".svg" => "image/svg+xml",
            _ => "application/octet-stream",
        };
        return new Asset(bytes, compressed.ToArray(), contentType, Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 8)));
    }

    private sealed record Asset(byte[] Bytes, byte[] Compressed, string ContentType, string Version);
}
