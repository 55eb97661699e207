namespace IommuFd.Client;

/// <summary>What may answer a request.</summary>
internal enum RequestState
{
    /// <summary>Nothing: the request may have a number, but was not sent.</summary>
    New = 0,

    /// <summary>The first attempt.</summary>
    FirstAttempt,

    /// <summary>A repeat.</summary>
    Repeated,

    /// <summary>Nothing: the request was answered or given up.</summary>
    Ended,
}
