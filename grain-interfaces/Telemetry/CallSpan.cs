using System.Diagnostics;
using IommuFd.Uapi;

namespace IommuFd.GrainInterfaces;

// Spans follow OpenTelemetry's semantic conventions for RPC (1.45): a method is fully qualified, and names the span; the system's status code is the errno. In one tree:
//
//   iommufd.Context/IOMMU_IOAS_MAP  CLIENT  the SDK, from the program's call to its answer, attempts that were sent again included
//     iommufd.Context/IOMMU_IOAS_MAP  SERVER  the context's turn
//       iommufd.Ioas/Map  CLIENT  the context's call of the object's grain
//         iommufd.Ioas/Map  SERVER  the object's turn
//
// A failing ioctl is an error of the client's. Of the server's it is one only where the service failed (EIO): its other errnos are what it is there to answer.

/// <summary>Names of what spans and metrics carry.</summary>
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
    public const string ContextTag = "iommufd.context.tag";
    public const string BatchSize = "iommufd.batch.size";
    public const string ObjectId = "iommufd.object.id";
    public const string ObjectType = "iommufd.object.type";

    /// <summary>The value of <see cref="System"/>.</summary>
    public const string Orleans = "orleans";

    /// <summary>What any number that is no command is called, so that programs can't make up names.</summary>
    public const string Other = "_OTHER";
}

/// <summary>Makes and ends the spans of calls and turns.</summary>
internal static class CallSpan
{
    /// <summary>How names of our methods begin.</summary>
    public const string Prefix = "iommufd.";

    /// <summary>What a command is called.</summary>
    public static string CommandName(uint command) => IoctlTable.Find(command)?.Name ?? SpanTags.Other;

    /// <summary>The method that an ioctl is.</summary>
    public static string Ioctl(uint command) => $"{Prefix}Context/{CommandName(command)}";

    /// <summary>The method that a request to the context is which is no ioctl.</summary>
    public static string Context(string operation) => $"{Prefix}Context/{operation}";

    /// <summary>The method that a driver's request is.</summary>
    public static string Driver(DriverRequest? request)
        => $"{Prefix}Driver/{(request is null ? SpanTags.Other : request.GetType().Name.Replace("Request", "", StringComparison.Ordinal))}";

    /// <summary>Starts the span of a call; null where it is not to be recorded.</summary>
    public static Activity? Start(ActivityKind kind, string method, ActivityContext parent = default)
    {
        KeyValuePair<string, object?>[] tags = [new(SpanTags.System, SpanTags.Orleans), new(SpanTags.Method, method)];
        var span = parent == default ? IommufdTelemetry.Source.StartActivity(kind, tags: tags, name: method) : IommufdTelemetry.Source.StartActivity(kind, parent, tags, name: method);
        if (span is { Recorded: false })
        {
            // The sampler's way to say no to a root.
            span.Dispose();
            return null;
        }

        return span;
    }

    /// <summary>Says which ioctl it is.</summary>
    public static void SetIoctl(this Activity span, uint command)
    {
        var name = CommandName(command);
        span.SetTag(SpanTags.Command, name);
        if (name == SpanTags.Other)
        {
            span.SetTag(SpanTags.OriginalMethod, $"0x{command:x8}");
        }
    }

    /// <summary>Says which context it is about: as logs show it, and as the dashboard does. Neither is of use to act on it.</summary>
    public static void SetContext(this Activity span, ContextHandle handle)
        => span.SetTag(SpanTags.Context, handle.ToShortString()).SetTag(SpanTags.ContextTag, ContextTag.Of(handle).ToString());

    /// <summary>Ends the span with an answer.</summary>
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

    /// <summary>Ends the span without an answer.</summary>
    public static void End(this Activity span, Exception exception)
        => span.SetTag(SpanTags.ErrorType, exception.GetType().FullName).SetStatus(ActivityStatusCode.Error, exception.Message).Dispose();

    /// <summary>What an errno is called; success is <c>0</c>.</summary>
    public static string Name(Errno errno) => errno == Errno.None ? "0" : errno.ToString();
}
