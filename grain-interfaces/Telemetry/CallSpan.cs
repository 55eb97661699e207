using System.Diagnostics;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// Spans follow OpenTelemetry's semantic conventions for RPC (1.45): a method is fully qualified, and names the span; the system's status
// code is the errno. In one tree:
//
//   iommufd.Context/IOMMU_IOAS_MAP  CLIENT  the SDK, from the program's call to its reply, including repeated attempts
//     iommufd.Context/IOMMU_IOAS_MAP  SERVER  the context's turn
//       iommufd.Ioas/Map  CLIENT  the context's call to the object's grain
//         iommufd.Ioas/Map  SERVER  the object's turn
//
// A failing ioctl is an error in the client's span. In the server's span only EIO is, which means that the service failed: the other errnos
// are its proper replies.

/// <summary>The names of the attributes of spans and metrics.</summary>
internal static class SpanTags
{
    public const string System = "rpc.system.name";
    public const string Method = "rpc.method";
    public const string OriginalMethod = "rpc.method_original";
    public const string Status = "rpc.response.status_code";
    public const string ErrorType = "error.type";
    public const string ServerAddress = "server.address";
    public const string ServerPort = "server.port";
    public const string Command = "iommufd.command";
    public const string Errno = "iommufd.errno";
    public const string Context = "iommufd.context";
    public const string BatchSize = "iommufd.batch.size";
    public const string ObjectId = "iommufd.object.id";

    /// <summary>The value of <see cref="System"/>.</summary>
    public const string Orleans = "orleans";

    /// <summary>The name of every number that is not a command, so that programs can't invent names.</summary>
    public const string Other = "_OTHER";
}

/// <summary>Starts and ends the spans of calls and turns.</summary>
internal static class CallSpan
{
    /// <summary>The prefix of our methods' names.</summary>
    public const string Prefix = "iommufd.";

    /// <summary>The name of a command.</summary>
    public static string CommandName(uint command) => IoctlTable.Find(command)?.Name ?? SpanTags.Other;

    /// <summary>The method name of an ioctl.</summary>
    public static string Ioctl(uint command) => $"{Prefix}Context/{CommandName(command)}";

    /// <summary>The method name of a request to the context other than an ioctl.</summary>
    public static string Context(string operation) => $"{Prefix}Context/{operation}";

    /// <summary>The method name of a driver's request.</summary>
    public static string Driver(DriverRequest? request)
        => $"{Prefix}Driver/{(request is null ? SpanTags.Other : request.GetType().Name.Replace("Request", "", StringComparison.Ordinal))}";

    /// <summary>Starts the span of a call; null if it is not recorded.</summary>
    public static Activity? Start(ActivityKind kind, string method, ActivityContext parent = default)
    {
        KeyValuePair<string, object?>[] tags = [new(SpanTags.System, SpanTags.Orleans), new(SpanTags.Method, method)];
        var span = parent == default ? IommufdTelemetry.Source.StartActivity(kind, tags: tags, name: method) : IommufdTelemetry.Source.StartActivity(kind, parent, tags, name: method);
        if (span is { Recorded: false })
        {
            // This is how a sampler rejects a root.
            span.Dispose();
            return null;
        }

        return span;
    }

    /// <summary>Sets the tags of an ioctl.</summary>
    public static void SetIoctl(this Activity span, uint command)
    {
        var name = CommandName(command);
        span.SetTag(SpanTags.Command, name);
        if (name == SpanTags.Other)
        {
            span.SetTag(SpanTags.OriginalMethod, $"0x{command:x8}");
        }
    }

    /// <summary>Sets the context, as logs and the dashboard show it.</summary>
    public static void SetContext(this Activity span, ContextKey context) => span.SetTag(SpanTags.Context, context.Tag.ToString());

    /// <summary>Ends the span with a reply.</summary>
    public static void End(this Activity span, Errno errno)
    {
        var name = Name(errno);
        span.SetTag(SpanTags.Status, name).SetTag(SpanTags.Errno, name);
        if (errno != Errno.None)
        {
            span.SetTag(SpanTags.ErrorType, name);
            if (span.Kind == ActivityKind.Client || errno == Errno.EIO)
            {
                span.SetStatus(ActivityStatusCode.Error);
            }
        }

        span.Dispose();
    }

    /// <summary>Ends the span without a reply.</summary>
    public static void End(this Activity span, Exception exception)
        => span.SetTag(SpanTags.ErrorType, exception.GetType().FullName).SetStatus(ActivityStatusCode.Error, exception.Message).Dispose();

    /// <summary>The name of an errno; <c>0</c> for success.</summary>
    public static string Name(Errno errno) => errno == Errno.None ? "0" : errno.ToString();
}
